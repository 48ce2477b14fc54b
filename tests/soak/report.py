"""One soak from its begin to its end, and its report."""

from dataclasses import dataclass
from pathlib import Path

from tests.parts.minio import MinIO

from .soak import Options, soaking


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a soak.

    Attributes:
        lines: The figures, as text.
        failures: What is wrong; empty if nothing is.
    """

    lines: list[str]
    failures: list[str]


async def run_and_report(minio: MinIO, folder: Path, options: Options) -> Report:
    """Run a soak on a MinIO; the logs of the replicas go into a folder."""
    async with soaking(minio, folder, options) as soak:
        await soak.prepare()
        await soak.work()
        whole = await soak.end()
        await soak.rest()
        tally = soak.tally
        lines = [
            f"{sum(tally.operations.values())} operations in {tally.seconds:.0f} s",
            *tally.lines(),
            "storage requests and faults: " + ", ".join(f"{n} {k}" for k, n in soak.proxy.counts.items()),
            f"whole, byte for byte: {len(whole.tags)} tags and {whole.artifacts} artifacts",
            soak.flatness.shown(),
            *(f"FAILURE {failure}" for failure in tally.failures[:50]),
            f"{len(tally.failures)} failures",
        ]
        return Report(lines, tally.failures)
