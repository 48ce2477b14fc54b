"""Large layers: MiB/s and peak memory, over HTTP by style of push, in the engine, and with raw clients.

There is no link here: with one, the scenario would measure the proxy. The engine, each raw client and each
registry run in processes of their own. Peak memory is the kernel's figure, above the memory that the process
held before.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from revstore_async import CURRENT, Digest
from revstore_async.layout import BlobData

from ..context import Bench
from ..floor import installed
from ..http import Body
from ..memory import MIB, UNVERIFIED, UPLOAD, VERIFIED, digest_of, pieces, streamed
from ..operations import push, push_chunked
from ..options import size_text
from ..results import Case
from ..servers.registries import Party
from ..stores import S3Store, registry_of
from ..turns import Way, in_turns

_CHUNK = 16 << 20
_PATH = "/v2/bench/large"
_LARGE = 1 << 30
"""Bytes from which on two runs are enough."""


@dataclass(frozen=True, slots=True)
class _Blob:
    size: int
    seed: int
    digest: Digest

    def body(self, start: int = 0, length: int | None = None) -> Body:
        """Return a function that makes the content anew, or a part of it that begins at a whole MiB."""
        return partial(pieces, self.size if length is None else length, self.seed, start)


Transfer = Callable[[Party, _Blob], Awaitable[None]]


async def run(bench: Bench) -> None:
    """Measure each size."""
    for size in bench.options.sizes if bench.store.shared else ():
        runs = bench.options.runs if size < _LARGE else min(2, bench.options.runs)
        await _streams(bench, size, runs)
        for name, transfer in _PUSHES.items():
            await _measure(bench, size, runs, name, transfer)
        stored = await _stored(bench, size)
        await _measure(bench, size, runs, "pull", _pull, stored)
        await _forget(bench, stored)


# ---- over HTTP


async def _push(party: Party, blob: _Blob) -> None:
    await push(party.client, _PATH, blob.body(), blob.digest, size=blob.size)


async def _push_patched(party: Party, blob: _Blob) -> None:
    await push_chunked(party.client, _PATH, [(blob.body(), blob.size)], blob.digest)


async def _push_chunked(party: Party, blob: _Blob) -> None:
    cuts = [(start, min(_CHUNK, blob.size - start)) for start in range(0, blob.size, _CHUNK)]
    chunks = [(blob.body(start, length), length) for start, length in cuts]
    await push_chunked(party.client, _PATH, chunks, blob.digest)


async def _pull(party: Party, blob: _Blob) -> None:
    answer = await party.client.ask("GET", f"{_PATH}/blobs/{blob.digest}")
    if answer.size != blob.size:
        raise AssertionError(f"{answer.size} of {blob.size} bytes came")


_PUSHES: Mapping[str, Transfer] = {
    "push POST PUT": _push,
    "push POST PATCH PUT": _push_patched,
    "push in chunks of 16 MiB": _push_chunked,
}


@dataclass(slots=True)
class _Taken:
    """The memory and CPU that the transfers of one kind took of each registry's process."""

    begun: Mapping[str, int]
    peak: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)


async def _measure(
    bench: Bench, size: int, runs: int, name: str, transfer: Transfer, stored: _Blob | None = None
) -> None:
    async with bench.registries(0) as parties:  # started anew, so that memory is that of these transfers
        taken = _Taken({party: running.process.memory for party, running in parties.items()})

        async def once(party: Party, turn: int) -> float:
            return await _once(bench, taken, party, size, f"{name} {turn}", transfer, stored)

        ways: dict[str, Way] = {party: partial(once, running) for party, running in parties.items()}
        speeds, failed = await in_turns(
            ways,
            runs,
            warm_up=0,
            on_turn=lambda turn: bench.progress(
                f"layers: {size_text(size)}, {name}, run {turn}", passing=turn > 0
            ),
        )
    case: Case = {"transfer": name, "size": size_text(size)}
    bench.keep("layers", case, "MiB/s", "speed", speeds, failed)
    bench.keep("layers", case, "MiB", "memory", {party: taken.peak[party] for party in speeds}, failed)
    bench.keep("layers", case, "ms", "cpu", {party: taken.cpu[party] for party in speeds}, failed)


async def _once(
    bench: Bench,
    taken: _Taken,
    party: Party,
    size: int,
    mark: str,
    transfer: Transfer,
    stored: _Blob | None,
) -> float:
    """Transfer once; return MiB/s."""
    # Each push has new content: a registry need not store content that it has already.
    blob = stored or await _blob(size, f"{bench.options.seed} {party.name} {mark}")
    process = party.process
    spent = process.cpu
    process.forget_peak()
    start = time.perf_counter()
    await transfer(party, blob)
    seconds = time.perf_counter() - start
    taken.peak.setdefault(party.name, []).append((process.peak_memory - taken.begun[party.name]) / MIB)
    taken.cpu.setdefault(party.name, []).append((process.cpu - spent) * 1000)
    if stored is None:
        await _forget(bench, blob)
    return size / MIB / seconds


async def _blob(size: int, mark: str) -> _Blob:
    seed = int(Digest.of(mark.encode())[-8:], 16)
    return _Blob(size, seed, await asyncio.to_thread(digest_of, size, seed))


async def _stored(bench: Bench, size: int) -> _Blob:
    blob = await _blob(size, f"{bench.options.seed} stored")
    async with registry_of(bench.store) as registry:
        blobs = registry.repository(_PATH.removeprefix("/v2/")).blobs
        await blobs.put(streamed(size, blob.seed), digest=blob.digest)
    return blob


async def _forget(bench: Bench, blob: _Blob) -> None:
    async with registry_of(bench.store) as registry:
        await registry.driver.delete(CURRENT.key(BlobData(blob.digest)))


# ---- the engine and raw clients


async def _streams(bench: Bench, size: int, runs: int) -> None:
    told: dict[str, list[Sequence[Mapping[str, Any]]]] = {}

    async def once(command: list[str], name: str, told_store: str, turn: int) -> float:
        result = await _run([*command, str(bench.options.seed + turn)], bench.store.environment(), told_store)
        told.setdefault(name, []).append(result["transfers"])
        return 0.0

    engine = ["bench.memory", "--json", "--store", bench.store.url(), "--size", str(size), "--seed"]
    ways: dict[str, Way] = {"engine": partial(once, engine, "engine", "")}
    if isinstance(bench.store, S3Store):
        for name in installed():
            ways[name] = partial(
                once, ["bench.streams", name, str(size)], name, json.dumps(asdict(bench.store))
            )
    _, failed = await in_turns(
        ways,
        runs,
        warm_up=0,
        on_turn=lambda turn: bench.progress(
            f"layers: {size_text(size)}, streams, run {turn}", passing=turn > 0
        ),
    )
    for number, direction in enumerate((UPLOAD, VERIFIED, UNVERIFIED)):
        case: Case = {"transfer": direction, "size": size_text(size)}
        for measure, unit, told_as in (("speed", "MiB/s", "mib_per_second"), ("memory", "MiB", "peak_mib")):
            taken = {
                name: [float(each[number][told_as]) for each in results]
                for name, results in told.items()
                if name not in failed
            }
            bench.keep("layers", case, unit, measure, taken, failed)


async def _run(command: list[str], environment: Mapping[str, str], told: str) -> Mapping[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *command,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(told.encode())
    if process.returncode:
        raise ChildProcessError(f"{command[0]} ended with {process.returncode}: {errors.decode()[-200:]}")
    result: Mapping[str, Any] = json.loads(output)
    return result
