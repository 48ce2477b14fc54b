"""What a scenario holds in its hands."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .link import Link
from .options import Options
from .progress import Progress
from .results import Case, Measurement, Results
from .servers.registries import Party, serving
from .stores import Store, Unfit


@dataclass(frozen=True, slots=True)
class Bench:
    """A run under way.

    Attributes:
        options: What was asked for.
        store: The store that is measured.
        link: The link before its server; None where it has none.
        results: Where measurements go.
        progress: Where it is told what goes on.
        folder: For logs.
    """

    options: Options
    store: Store
    link: Link | None
    results: Results
    progress: Progress
    folder: Path

    @asynccontextmanager
    async def registries(self, latency: float) -> AsyncIterator[Mapping[str, Party]]:
        """Run registries behind a link of a latency; without latency they go to the store straight.

        Raises:
            Unfit: The store is not one that two processes share, or cannot have a link.
        """
        if not self.store.shared:
            raise Unfit("registries run as processes, which share no memory")
        link = await self.behind(latency)
        async with serving(self.store, link, self.folder, self.options.parties) as parties:
            yield parties

    async def behind(self, latency: float) -> Link | None:
        """Return the link, set to a latency; None, for the straight way, without latency.

        Raises:
            Unfit: There is no way to put a link before the store.
        """
        if not latency:
            return None
        if self.link is None:
            raise Unfit(f"no link can be put before a store of the kind {self.store.kind}")
        await self.link.set_latency(latency)
        return self.link

    async def endpoint(self, door: str, latency: float) -> str | None:
        """Return the endpoint of a door of the link, set to a latency; None for the straight way."""
        link = await self.behind(latency)
        return None if link is None else link.url(door)

    def keep(
        self,
        scenario: str,
        case: Case,
        unit: str,
        measure: str,
        taken: Mapping[str, Sequence[float]],
        failed: Mapping[str, str],
        facts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Keep what was measured of ways in turns, and what failed.

        Args:
            scenario: Which one measured.
            case: What all of them have in common.
            unit: The samples' unit.
            measure: What the samples are.
            taken: The samples of each way.
            failed: Why the others have none.
            facts: More about each way.
        """
        for way, samples in taken.items():
            more = (facts or {}).get(way, {})
            self.results.add(Measurement(scenario, case, way, measure, unit, tuple(samples), more))
        for way, why in failed.items():
            self.results.add(Measurement(scenario, case, way, measure, unit, failed=why))
