"""A run of the collector while other programs are at work on the store, on any number of processes.

The phases are those of docs/collector.md. Writers see each of them by the state that all processes agree on.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from secrets import token_hex
from typing import Final

from ..concurrency import gather, in_thread, settled
from ..driver import Driver, IfAbsent, entries
from ..errors import RunLost, StorageFailure
from ..formats.digest import Digest
from ..inventory import pages
from ..layout import Layout, Rescue, RunObject
from ..runs.lists import HASH_SIZE, RUN_KEYS, SHARD_KEYS
from ..runs.state import Phase, Shard
from ..runs.store import SeenState
from .control import Control
from .filling import read_manifests, read_tags
from .lists import Condemning, shard_lists
from .owned import OwnedRun
from .planning import Numbers, Plan
from .progress import Progress
from .sparing import Sparing
from .sweeping import OnlineSweep, TagsOf

SPARED: Final = "spared.hashes"
"""The name of the list of a run's keys that stay."""

_STEP: Final = timedelta(seconds=10)
"""The longest pause of a wait, so that its progress is shown."""
_RUNS_KEPT: Final = 5
"""The last runs with objects that stay, as a record."""
_KEPT_FOR: Final = timedelta(hours=1)
"""Objects of younger runs stay, too: such a run may be about to begin."""
_NAME: Final = "%Y%m%dT%H%M%SZ"
_TRIES: Final = 5
_GRACE: Final = 5.0
"""Seconds that a cancelled run takes to set its state to idle."""


@dataclass(frozen=True, slots=True)
class Collected:
    """The end of a run beside other programs.

    Attributes:
        run: The name of the run; None if nothing was to be deleted, so that no run was opened.
        numbers: How much was deleted.
        spared: The number of planned keys that stayed after all, by reason.
        left: Planned keys that are left to the next run.
    """

    run: str | None
    numbers: Numbers
    spared: Mapping[str, int]
    left: int


class OnlineRun:
    """A run beside other programs.

    Args:
        plan: The plan; its survey is changed.
        driver: The storage.
        layout: The layout of the registry.
        tags_of: Returns the tags of a repository.
        control: The state of the collector.
        progress: A value to follow the run by.
        shard_keys: The most keys of a shard.
        run_keys: The most keys of the run.
    """

    def __init__(
        self,
        plan: Plan,
        driver: Driver,
        layout: Layout,
        tags_of: TagsOf,
        control: Control,
        progress: Progress,
        *,
        shard_keys: int = SHARD_KEYS,
        run_keys: int = RUN_KEYS,
    ) -> None:
        self._plan = plan
        self._survey = plan.survey
        self._driver = driver
        self._layout = layout
        self._tags_of = tags_of
        self._control = control
        self._progress = progress
        self._condemning = Condemning(self._survey, layout.root, shard_keys=shard_keys, run_keys=run_keys)

    async def carry_out(self) -> Collected:
        """Carry out the plan; see `Collector.run`."""
        await self._control.check_run()
        self._plan.is_spent = True
        count = await in_thread(self._condemning.condemn)
        planned = self._plan.numbers.keys
        if not count:
            return Collected(None, Numbers.of({}), {}, planned)
        name = f"{await self._control.clock.now():{_NAME}}-{token_hex(4)}"
        shards = [await self._write_shard(name, number) for number in range(count)]
        owned = await self._open(name, shards)
        try:
            return await self._go_through(owned)
        except RunLost:
            raise
        except BaseException:
            await _give_up(owned)
            raise

    async def _open(self, name: str, shards: Sequence[Shard]) -> OwnedRun:
        """Swap the idle state for that of the run.

        Raises:
            RunLost: Other processes changed the idle state each time.
            RunUnderWay: Another process opened a run.
        """
        for _ in range(_TRIES):
            owned = await self._condemning_run(name, shards)
            try:
                await owned.change()
            except RunLost:  # another process opened a run, or changed the bounds
                continue
            except BaseException:
                await _give_up(owned)
                raise
            return owned
        raise RunLost(name)

    async def _go_through(self, owned: OwnedRun) -> Collected:
        bounds = owned.bounds
        await self._wait(owned, bounds.grace)
        sparing = await in_thread(Sparing, self._survey)
        await self._list_again(owned, sparing)
        await owned.change(phase=Phase.SEALED, n=owned.state.n + 1)
        if bounds.lag:
            await self._wait(owned, bounds.lag)
        await self._find_rescues(owned, sparing)
        spared = await in_thread(sparing.spared)
        shard = await self._write(owned.name, SPARED, b"".join(spared))
        await owned.change(phase=Phase.SWEEPING, spared=shard, done=0)

        async def keep(rows: Sequence[int], why: str) -> None:
            await in_thread(sparing.keep, rows, why)
            await self._follow(sparing)

        sweep = OnlineSweep(self._survey, self._driver, self._tags_of, owned, keep, self._progress)
        try:
            await sweep.delete_shards(len(owned.state.shards))
        except BaseException:
            if sweep.is_answered:
                with suppress(RunLost, StorageFailure):  # otherwise the time of the run ends
                    await settled(owned.end(), grace=_GRACE)
            raise
        reasons = await in_thread(sparing.reasons)
        await self._end(owned, sweep)
        left = self._plan.numbers.keys - self._condemning.keys
        self._plan.numbers = sweep.numbers
        return Collected(owned.name, sweep.numbers, reasons, left)

    # ---- the begin

    async def _write_shard(self, run: str, number: int) -> Shard:
        lists = await in_thread(shard_lists, self._survey, self._layout.root, number)
        shard, _ = await gather(
            self._write(run, f"{number:03}.hashes", lists.hashes),
            self._write(run, f"{number:03}.keys", lists.keys),
        )
        return shard

    async def _write(self, run: str, name: str, content: bytes) -> Shard:
        key = self._layout.key(RunObject(run, name))
        await self._driver.put(key, content, condition=IfAbsent())
        return Shard(name, len(content) // HASH_SIZE, await in_thread(Digest.of, content))

    async def _condemning_run(self, name: str, shards: Sequence[Shard]) -> OwnedRun:
        seen = await self._control.check_run()
        now = await self._control.clock.estimate()
        bounds = seen.state.in_force(now)
        state = replace(
            seen.state,
            phase=Phase.CONDEMNED,
            run=name,
            owner=f"{socket.gethostname()}:{os.getpid()}",
            until=now,
            shards=tuple(shards),
            retention=self._plan.retention,
            fenced=self._driver.capabilities.dated_deletion,
        )
        seen = SeenState(state, seen.etag, seen.date)
        return OwnedRun(self._driver, self._control.states, self._control.clock, seen, bounds)

    # ---- the second listing, and the rescues

    async def _list_again(self, owned: OwnedRun, sparing: Sparing) -> None:
        self._progress.begin("list again")
        for folder in (self._layout.repositories, self._layout.histories):
            async for page in pages(self._driver, folder):
                await in_thread(sparing.add, page)
                await owned.carry_on()
        await read_tags(self._survey, self._driver)
        await in_thread(sparing.find_roots)
        await owned.carry_on()
        await self._follow(sparing)

    async def _find_rescues(self, owned: OwnedRun, sparing: Sparing) -> None:
        async for page in pages(self._driver, self._layout.rescued(owned.name)):
            found = [self._layout.parse(info.key) for info in page]
            hashes = [bytes.fromhex(rescue.hashed) for rescue in found if isinstance(rescue, Rescue)]
            await in_thread(sparing.rescue, hashes)
            await owned.carry_on()
        await self._follow(sparing)

    async def _follow(self, sparing: Sparing) -> None:
        """Read the staying tags and manifests, and follow their references."""
        await read_tags(self._survey, self._driver)
        digests = await in_thread(sparing.unread_manifests)
        await read_manifests(self._survey, self._driver, self._layout, digests, self._progress)
        await in_thread(sparing.close)

    # ---- the end

    async def _end(self, owned: OwnedRun, sweep: OnlineSweep) -> None:
        if sweep.last_end is not None:
            await self._wait(owned, sweep.last_end - await self._control.clock.now())
        if sweep.is_unsure:
            await self._wait(owned, owned.bounds.hold)
        await owned.end(last=await self._control.clock.now())
        await self._delete_old_runs()

    async def _delete_old_runs(self) -> None:
        """Delete the objects of all runs but the last ones. 1 request, and 2 or more for each of those runs."""
        folder = self._layout.runs
        names = [entry.key.rpartition("/")[2] async for entry in entries(self._driver.list, folder)]
        before = f"{await self._control.clock.estimate() - _KEPT_FOR:{_NAME}}"
        for name in sorted(names)[:-_RUNS_KEPT]:
            if name < before:
                await self._driver.delete_prefix(self._layout.run(name))

    async def _wait(self, owned: OwnedRun, length: timedelta) -> None:
        self._progress.begin("wait")

        async def step(left: float) -> None:
            self._progress.left = left
            await owned.carry_on()

        await self._control.clock.wait(length, step, every=min(_STEP, owned.lease / 4))


async def _give_up(owned: OwnedRun) -> None:
    with suppress(StorageFailure):  # then the time of the run ends
        await settled(owned.give_up(), grace=_GRACE)
