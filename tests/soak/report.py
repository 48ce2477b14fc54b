"""One soak from its begin to its end, and its report."""

from dataclasses import dataclass
from pathlib import Path

from tests.parts.minio import MinIO

from .soak import Options, soaking
from .verifying import garbage


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
        await soak.end()
        await soak.rest()
        await soak.collect()
        whole = await soak.end()
        left = garbage(whole, soak.model, minio.names(soak.bucket))
        if left:
            soak.tally.fail(f"{len(left)} objects are garbage after the last run, such as {left[:3]}")
        tally = soak.tally
        lines = [
            f"{sum(tally.operations.values())} operations in {tally.seconds:.0f} s",
            *tally.lines(),
            "storage requests and faults: " + ", ".join(f"{n} {k}" for k, n in soak.proxy.counts.items()),
            f"whole, byte for byte: {len(whole.tags)} tags, {whole.artifacts} artifacts",
            f"signatures that stand: {whole.signatures}",
            soak.flatness.shown(),
            *(f"FAILURE {failure}" for failure in tally.failures[:50]),
            f"{len(tally.failures)} failures",
        ]
        return Report(lines, tally.failures)
