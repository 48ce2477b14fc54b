"""A raw client's stream of a large object, in a process of its own: `python -m bench.streams CLIENT SIZE SEED`.

The process reads the store as JSON from standard input. It writes JSON: MiB/s each way, and peak memory. It
hashes a verified download as the engine does.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from revstore_async import Digest
from revstore_async.formats.digest import new_hasher
from revstore_async.threads import StreamHasher

from .floor import Raw, installed
from .loops import run
from .memory import MIB, UNVERIFIED, UPLOAD, VERIFIED, digest_of, streamed
from .processes import Process
from .stores import FLOOR, S3Store

_KEY = f"{FLOOR}/stream"


async def measure(name: str, store: S3Store, size: int, seed: int) -> Mapping[str, Any]:
    """Write an object and read it.

    Args:
        name: The raw client's name.
        store: The store that takes the object.
        size: Bytes of the object.
        seed: The seed of its content.
    """
    process = Process(os.getpid())
    begun = process.memory
    digest = digest_of(size, seed)
    transfers = []
    async with installed()[name](store, None) as raw:
        for direction in (UPLOAD, VERIFIED, UNVERIFIED):
            process.forget_peak()
            start = time.perf_counter()
            if direction == UPLOAD:
                await raw.upload(_KEY, streamed(size, seed))
            elif direction == VERIFIED:
                await _verified(raw, digest)
            elif await raw.get(_KEY) != size:
                raise AssertionError("the object has another size")
            speed = size / MIB / (time.perf_counter() - start)
            peak = (process.peak_memory - begun) / MIB
            transfers.append({"direction": direction, "mib_per_second": speed, "peak_mib": peak})
    return {"transfers": transfers}


async def _verified(raw: Raw, digest: Digest) -> None:
    async with StreamHasher.beside(new_hasher(digest.algorithm)) as hashing:
        await raw.get(_KEY, hashing.update)
        if f"{digest.algorithm}:{await hashing.hexdigest()}" != digest:
            raise AssertionError("the object has another digest")


def main() -> None:
    """Measure one stream, and print the result."""
    name, size, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    store = S3Store(**json.loads(sys.stdin.read()))
    print(json.dumps(run(measure(name, store, size, seed))), flush=True)
    # obstore's own threads may still want the interpreter while it ends, and abort the process.
    os._exit(0)


if __name__ == "__main__":
    main()
