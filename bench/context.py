"""The objects with which a scenario works."""

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
        options: The options of the command.
        store: The store that is measured.
        link: The link before the store's server; None if it has no server.
        results: The measurements so far.
        progress: Shows the step under way.
        folder: The folder of the logs.
    """

    options: Options
    store: Store
    link: Link | None
    results: Results
    progress: Progress
    folder: Path

    @asynccontextmanager
    async def registries(self, latency: float) -> AsyncIterator[Mapping[str, Party]]:
        """Run registries behind a link of a latency; without latency they use the store directly.

        Raises:
            Unfit: Two processes can't share the store, or it can't have a link.
        """
        if not self.store.shared:
            raise Unfit("registries run as processes, which share no memory")
        link = await self.behind(latency)
        async with serving(self.store, link, self.folder, self.options.parties) as parties:
            yield parties

    async def behind(self, latency: float) -> Link | None:
        """Return the link, set to a latency; without latency None: the caller uses the store directly.

        Raises:
            Unfit: The store can't have a link.
        """
        if not latency:
            return None
        if self.link is None:
            raise Unfit(f"no link can be put before a store of the kind {self.store.kind}")
        await self.link.set_latency(latency)
        return self.link

    async def endpoint(self, door: str, latency: float) -> str | None:
        """Return the endpoint of a door of the link, set to a latency; without latency None."""
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
        """Keep the samples and the failures of ways that were measured in turns.

        Args:
            scenario: The scenario that measured them.
            case: The circumstances that all ways share.
            unit: The samples' unit.
            measure: The kind of the samples.
            taken: The samples of each way.
            failed: For each way without samples, the reason.
            facts: More about each way.
        """
        for way, samples in taken.items():
            more = (facts or {}).get(way, {})
            self.results.add(Measurement(scenario, case, way, measure, unit, tuple(samples), more))
        for way, why in failed.items():
            self.results.add(Measurement(scenario, case, way, measure, unit, failed=why))
