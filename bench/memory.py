"""The time and memory of a large blob: `python -m bench.memory --store URL --size 2GiB`.

A blob goes through the engine as a stream: up, and down again, once compared with its digest and once not. The
program prints the speed and the process's memory; the process does nothing else. Memory is the kernel's own
high-water mark, which misses no peak between two samples. It counts above the memory that the process held
after all imports, before it opened the store. The content comes from a seed as it is sent: no two of its pieces
are equal. Its digest is computed before the clock runs.
"""

import argparse
import hashlib
import json
import os
import random
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from bench.loops import run
from bench.machine import machine, versions
from bench.processes import Process
from revstore_async import Digest, Registry

MIB = 1 << 20
UPLOAD = "upload"
VERIFIED = "download, verified"
UNVERIFIED = "download"
_UNITS = {"MiB": MIB, "GiB": 1 << 30}
_TOOK_PART = ("python", "revstore-async", "aioboto3", "aiobotocore", "botocore", "aiohttp", "minio")


@dataclass(frozen=True, slots=True)
class Transfer:
    """One way of a blob.

    Attributes:
        direction: `UPLOAD`, `VERIFIED` or `UNVERIFIED`.
        seconds: The duration, hashing on the way included.
        mib_per_second: Its speed.
        peak_mib: The process's memory at its peak, above its start, in MiB.
    """

    direction: str
    seconds: float
    mib_per_second: float
    peak_mib: float


def pieces(size: int, seed: int, first: int = 0) -> Iterator[bytes]:
    """Yield content in pieces of a MiB: `size` bytes of it, from the offset `first` on, a multiple of 1 MiB."""
    piece = bytearray(random.Random(seed).randbytes(MIB))
    for start in range(first, first + size, MIB):
        piece[:8] = start.to_bytes(8, "big")
        yield bytes(piece[: first + size - start])


async def streamed(size: int, seed: int) -> AsyncIterator[bytes]:
    """Yield the same content as a stream."""
    for piece in pieces(size, seed):
        yield piece


def digest_of(size: int, seed: int) -> Digest:
    """Return the content's digest."""
    hasher = hashlib.sha256()
    for piece in pieces(size, seed):
        hasher.update(piece)
    return Digest(f"sha256:{hasher.hexdigest()}")


async def measure(store: str, size: int, seed: int) -> dict[str, Any]:
    """Put a blob into a store, read it, delete it again.

    Args:
        store: The store's URL; its driver is opened, used and closed.
        size: Bytes of the blob.
        seed: The seed of its content.

    Returns:
        The process's memory at the start, in MiB, and the transfers.

    Raises:
        AssertionError: The engine returned other content than it took.
    """
    process = Process(os.getpid())
    begun = process.memory
    digest = digest_of(size, seed)

    def transfer(direction: str, since: float) -> Transfer:
        seconds = time.perf_counter() - since
        peak = (process.peak_memory - begun) / MIB
        return Transfer(direction, round(seconds, 2), round(size / MIB / seconds, 1), round(peak, 1))

    async with Registry.open(store) as registry:
        blobs = registry.blobs
        process.forget_peak()
        since = time.perf_counter()
        await blobs.put(streamed(size, seed), digest=digest)
        transfers = [transfer(UPLOAD, since)]
        try:
            for direction in (VERIFIED, UNVERIFIED):
                process.forget_peak()
                since = time.perf_counter()
                read = 0
                async with blobs.open(digest, verify=direction == VERIFIED) as reader:
                    while piece := await reader.read(MIB):
                        read += len(piece)
                transfers.append(transfer(direction, since))
                if read != size:
                    raise AssertionError(f"{read} of {size} bytes were read")
        finally:
            await registry.driver.delete(blobs.path(digest))
    return {"start_mib": round(begun / MIB, 1), "transfers": [asdict(each) for each in transfers]}


def size_of(text: str) -> int:
    """Read a size such as `512MiB`."""
    found = re.fullmatch(r"([1-9][0-9]*)(MiB|GiB|)", text)
    if found is None:
        raise argparse.ArgumentTypeError("not a size such as 512MiB or 2GiB")
    return int(found[1]) * _UNITS.get(found[2], 1)


def main() -> None:
    """Measure, and print a table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--store", required=True, help="the URL of the store; credentials by environment")
    parser.add_argument("--size", type=size_of, default=size_of("2GiB"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m bench.memory", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions(),
        **run(measure(options.store, options.size, options.seed)),
    }
    print(json.dumps(result) if options.json else table(result))


def table(result: dict[str, Any]) -> str:
    """Write the result as Markdown."""
    known, found = result["machine"], result["versions"]
    taken = f"{known['cpu']}, {known['cores']} cores, {known['memory_mib']} MiB, {known['kernel']}"
    took_part = ", ".join(f"{name} {found[name]}" for name in _TOOK_PART if found[name] != "absent")
    rows = [
        f"| {each['direction']} | {each['seconds']} | {each['mib_per_second']} | {each['peak_mib']} |"
        for each in result["transfers"]
    ]
    return "\n".join(
        [
            f"{taken}; {took_part}; {result['time']}: `{result['command']}`",
            "",
            "| | seconds | MiB/s | peak memory above start, MiB |",
            "| --- | ---: | ---: | ---: |",
            *rows,
            "",
            f"At its start the process held {result['start_mib']} MiB.",
        ]
    )


if __name__ == "__main__":
    main()
