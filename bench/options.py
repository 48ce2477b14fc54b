"""The command's options."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .servers.registries import DISTRIBUTION, OURS, PARTIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a run.

    Attributes:
        scenarios: The names of the scenarios, in order.
        store: `minio`, or the URL of another store.
        latencies: The latencies of the link, in milliseconds, there and back.
        clients: Numbers of concurrent clients.
        sizes: Bytes of large layers.
        signatures: Numbers of signatures of a revision.
        tags: The number of tags of the repository from which clients pull.
        listed: The numbers of tags of the repositories that clients list.
        blobs: The numbers of blobs of the stores that are collected.
        duration: Seconds of a load.
        runs: The number of measurements of each load and each stream.
        turns: The number of measurements of each single operation.
        rates: Requests a second of open loops.
        parties: The registries that take part.
        seed: The seed of all random content and choices.
        json: The file of the results.
        plots: The folder of the plots.
        readme: Whether to write the results into the README.
        quick: Whether the other figures are those of a run of a few minutes.
    """

    scenarios: tuple[str, ...]
    store: str
    latencies: tuple[float, ...]
    clients: tuple[int, ...]
    sizes: tuple[int, ...]
    signatures: tuple[int, ...]
    tags: int
    listed: tuple[int, ...]
    blobs: tuple[int, ...]
    duration: float
    runs: int
    turns: int
    rates: tuple[float, ...]
    parties: tuple[str, ...]
    seed: int
    json: Path | None
    plots: Path | None
    readme: bool
    quick: bool


_QUICK = {
    "latency": "0,20",
    "clients": "64",
    "sizes": "256MiB",
    "signatures": "0,8,64",
    "tags": "1500",
    "listed": "100,1000,5000",
    "blobs": "10000",
    "duration": "2",
    "runs": "3",
    "turns": "7",
    "rates": "100",
}
_FULL = {
    "latency": "0,5,20,50",
    "clients": "1,16,64,256",
    "sizes": "64MiB,256MiB,1GiB,2GiB",
    "signatures": "0,1,8,64,256",
    "tags": "10000",
    "listed": "100,1000,10000,100000",
    "blobs": "10000,100000",
    "duration": "8",
    "runs": "5",
    "turns": "21",
    "rates": "50,100,200,400",
}
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def parse(arguments: Sequence[str], scenarios: Sequence[str]) -> Options:
    """Read the command's arguments; a wrong one ends the program with a message.

    Args:
        arguments: The arguments after the program's name.
        scenarios: The names of all scenarios.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure the engine and the server against their peers."
    )
    add = parser.add_argument
    add("scenario", nargs="*", help=f"what to measure: {', '.join(scenarios)}; all, if none is named")
    add("--quick", action="store_true", help="less of everything, for a run of a few minutes")
    add(
        "--store",
        default="minio",
        help="minio (its own), s3://bucket/prefix?endpoint_url=..., file:, memory:",
    )
    for name, says in (
        ("latency", "of the link, ms, there and back"),
        ("clients", "concurrent clients"),
        ("sizes", "of large layers, such as 64MiB"),
        ("signatures", "numbers of signatures"),
        ("tags", "of the repository that is pulled from"),
        ("listed", "tags of the repositories that are listed"),
        ("blobs", "of the stores that are collected"),
        ("duration", "seconds of a load"),
        ("runs", "of each load and stream"),
        ("turns", "of each single operation"),
        ("rates", "requests a second of open loops"),
    ):
        add(f"--{name}", help=f"{says} (default: {_FULL[name]}; quick: {_QUICK[name]})")
    add(
        "--parties",
        default=f"{OURS},{DISTRIBUTION}",
        help=f"the registries that take part, of {', '.join(PARTIES)}",
    )
    add("--seed", type=int, default=1)
    add("--json", type=Path, help="write the results there")
    add("--plots", type=Path, help="write plots into this folder (needs matplotlib)")
    add("--readme", action="store_true", help="write the results into bench/README.md")
    given = parser.parse_args(arguments)
    if unknown := set(given.scenario) - set(scenarios):
        parser.error(f"no scenario is called {min(unknown)}; there are {', '.join(scenarios)}")
    if unknown := set(given.parties.split(",")) - set(PARTIES):
        parser.error(f"no registry is called {min(unknown)}; there are {', '.join(PARTIES)}")
    try:
        return _options(given, scenarios)
    except ValueError as error:
        parser.error(str(error))


def _options(given: argparse.Namespace, scenarios: Sequence[str]) -> Options:
    defaults = _QUICK if given.quick else _FULL

    def told(name: str) -> str:
        return getattr(given, name) or defaults[name]

    def numbers(name: str) -> tuple[int, ...]:
        return tuple(int(text) for text in told(name).split(","))

    def decimals(name: str) -> tuple[float, ...]:
        return tuple(float(text) for text in told(name).split(","))

    return Options(
        scenarios=tuple(given.scenario or scenarios),
        store=given.store,
        latencies=decimals("latency"),
        clients=numbers("clients"),
        sizes=tuple(size(text) for text in told("sizes").split(",")),
        signatures=numbers("signatures"),
        tags=int(told("tags")),
        listed=numbers("listed"),
        blobs=numbers("blobs"),
        duration=float(told("duration")),
        runs=int(told("runs")),
        turns=int(told("turns")),
        rates=decimals("rates"),
        parties=tuple(given.parties.split(",")),
        seed=given.seed,
        json=given.json,
        plots=given.plots,
        readme=given.readme,
        quick=given.quick,
    )


def size(text: str) -> int:
    """Return the bytes of a size such as `64MiB`."""
    unit = _UNITS.get(text[-3:], 1)
    return int(text[:-3] if unit > 1 else text) * unit


def size_text(size: int) -> str:
    """Return a size as `64 MiB`."""
    for unit, bytes_of in reversed(_UNITS.items()):
        if size >= bytes_of and size % bytes_of == 0:
            return f"{size // bytes_of} {unit}"
    return f"{size} B"
