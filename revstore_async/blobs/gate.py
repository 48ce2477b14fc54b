"""The gate of all writers: it keeps writers and runs of the collector apart.

A writer asks for the collector's state before it looks at content that it relies on. Then it looks, rescues
condemned objects, writes its links, and closes its window. `docs/collector.md` says why no part can be left out.

    for _ in range(TRIES):
        window = await gate.open(*written)
        ...  # look at what the write relies on: window.admits(...)
        if await window.rely():
            await window.close(...)  # the time of the answer to the last link
            return
    raise gate.gave_up(...)
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context
from datetime import datetime
from functools import partial
from operator import call
from typing import Final

from ..concurrency import cancel_and_wait, gather_map, pauses
from ..driver import Driver
from ..driver.clocks import boottime
from ..errors import BeingCollected, CollectorStateUnreadable, RevstoreError, StorageFailure, Unavailable
from ..layout import Layout, Rescue, StoredObject
from ..runs.store import SeenState, StateStore
from .views import Listed, RunLists, View

TRIES: Final = 5
"""How often a writer begins anew when a run of the collector, or the end of its window, comes in between."""

PATIENCE: Final = 10.0
"""Seconds for which a writer waits until the collector has deleted a key that the writer is to write."""


class Gate:
    """Asks for the collector's state, for all writers of one process.

    A store without conditional writes has no runs beside writers: the gate then asks nothing.

    Args:
        driver: The storage.
        layout: The keys of the store.
    """

    def __init__(self, driver: Driver, layout: Layout) -> None:
        self._driver = driver
        self._layout = layout
        self._states = StateStore(driver, layout)
        self._view: View | None = None
        self._lists: RunLists | None = None
        self._ahead: asyncio.Task[None] | None = None
        self._loading = asyncio.Lock()

    async def open(self, *written: StoredObject, patient: bool = True) -> "Window":
        """Open the window of a write.

        0 requests while the kept state is younger than `Bounds.keep`, and no run lists an object; else 1. The lists
        of a run are read once: 1 request for each 100,000 keys. If the run takes no more rescues, the call asks
        again until the run has deleted the objects.

        Args:
            *written: The objects that the caller writes, as far as it knows.
            patient: False for a caller that holds memory of `MemoryBudget`: the call does not wait.

        Raises:
            BeingCollected: The collector is deleting one of the objects, and was not done in 10 seconds.
            CollectorStateUnreadable: The state can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may write by it.
        """
        view = self._view
        if view is not None:
            now = boottime()
            age = now - view.asked
            if age <= view.keep and (view.run is None or not view.listed(written)):
                if age > view.fresh:
                    self._fetch_ahead()
                return Window(self, view, now, age, written)
        view = await self._free(written, patient=patient)
        return Window(self, view, view.asked, 0.0, written, fresh=True)

    async def admit(self, *written: StoredObject, patient: bool = True) -> "Window":
        """Open the window of a write that relies on no other object; the objects are rescued already.

        Costs and errors are those of `open` and `Window.rely`.

        Raises:
            Unavailable: Runs of the collector came in between each of 5 times.
        """
        for _ in range(TRIES):
            window = await self.open(*written, patient=patient)
            if await window.rely():
                return window
        raise self.gave_up(*written)

    def gave_up(self, *objects: StoredObject) -> Unavailable:
        """Return the error of a writer that began anew too often. No request."""
        reason = f"a run of the collector, or the end of Bounds.link_within, came in between {TRIES} times"
        return Unavailable(self._layout.key(objects[0]) if objects else self._layout.collector, reason)

    async def stop(self) -> None:
        """Cancel and await the request that fetches the next state ahead."""
        task, self._ahead, self._view = self._ahead, None, None
        if task is not None:
            await cancel_and_wait([task])

    # ---- for windows

    async def ask(self) -> View:
        """Ask for the state, after this call began. 1 request, and those of the run lists once a run.

        The call ends a run whose owner is dead: 1 request more.
        """
        if not self._driver.capabilities.conditional_put:
            return self._keep(View(SeenState(), boottime(), None, self._layout))
        for _ in range(TRIES):
            asked = boottime()
            seen = await self._revived(await self._states.read())
            if seen is None:
                continue
            try:
                run = await self._load(seen)
            except CollectorStateUnreadable:
                # The run may be over since, with its lists.
                if (await self._states.read()).etag == seen.etag:
                    raise
            else:
                return self._keep(View(seen, asked, run, self._layout))
        raise self.gave_up()

    def forget(self, view: View) -> None:
        """Forget a state by which a key is listed: only a state that is asked for anew may say so."""
        if self._view is view:
            self._view = None

    async def rescue(self, view: View, listed: Sequence[Listed]) -> bool:
        """Rescue keys from a condemned run; return False where the run went on meanwhile. 2 round trips.

        1 request for each key, then 1 for the state.
        """
        run = view.run
        if run is None or not view.is_condemned:
            return False
        keys = [self._layout.key(Rescue(run.run, each.hashed.hex())) for each in listed]
        puts = [partial(self._driver.put, key, b"") for key in keys]
        await gather_map(call, puts, limit=self._driver.capabilities.connections)
        after = await self.ask()
        if after.run is None or after.run.run != run.run or not after.is_condemned:
            return False
        after.run.rescued.update(each.hashed for each in listed)
        return True

    @property
    def asks(self) -> bool:
        """Whether the store may have runs beside writers."""
        return self._driver.capabilities.conditional_put

    # ---- inside

    async def _free(self, written: Sequence[StoredObject], *, patient: bool) -> View:
        """Ask for the state until the collector is not about to delete any of these objects."""
        clock = asyncio.get_running_loop().time
        end = clock() + PATIENCE if patient else None
        for pause in pauses():
            view = await self.ask()
            doomed = view.doomed(written)
            if not doomed:
                return view
            if end is None or clock() + pause > end:
                raise BeingCollected(doomed[0].key, PATIENCE)
            await asyncio.sleep(pause)
        raise AssertionError("pauses have no end")  # pragma: no cover

    def _keep(self, view: View) -> View:
        if self._view is None or view.asked >= self._view.asked:
            self._view = view
        return view

    def _fetch_ahead(self) -> None:
        if self._ahead is None or self._ahead.done():
            # In a context of its own: a deadline of the present request does not count for it.
            self._ahead = asyncio.get_running_loop().create_task(self._refresh(), context=Context())

    async def _refresh(self) -> None:
        with suppress(RevstoreError):  # a writer that finds the kept state too old asks by itself
            await self.ask()

    async def _load(self, seen: SeenState) -> RunLists | None:
        async with self._loading:
            self._lists = await RunLists.load(self._driver, self._layout, seen.state, self._lists)
            return self._lists

    async def _revived(self, seen: SeenState) -> SeenState | None:
        """Set a dead run to idle; return the state that is stored then, None if another process was first."""
        if seen.date is None or not seen.state.is_over(seen.date):
            return seen
        try:
            return await self._states.swap(seen, seen.state.idle())
        except StorageFailure:  # it stays open; a writer that needs a condemned key rescues it
            return seen


class Window:
    """The time from the question for the collector's state to the end of a write.

    Within `Bounds.link_within` of its begin, no run deletes a key that the writer relies on: each run waits longer
    than that before it lists the links again.

    Attributes:
        view: The state of the collector by which the writer acts.
    """

    __slots__ = ("_age", "_gate", "_is_fresh", "_objects", "_opened", "view")

    def __init__(
        self,
        gate: Gate,
        view: View,
        opened: float,
        age: float,
        objects: Sequence[StoredObject],
        *,
        fresh: bool = False,
    ) -> None:
        self._gate = gate
        self.view: View = view
        self._opened = opened
        self._age = age
        self._objects = [*objects]
        self._is_fresh = fresh

    def admits(self, *objects: StoredObject) -> bool:
        """Say whether the caller may rely on objects, beside those that it relies on already. No request.

        The caller looks at the objects after `Gate.open`. After False it treats them as absent: the collector is
        deleting one of them. After True, `rely` has the last word.
        """
        if self.view.run is not None and self._is_fresh and self.view.doomed(objects):
            return False
        self._objects += objects
        return True

    async def rely(self, *objects: StoredObject) -> bool:
        """Rescue all objects of this window that a run has condemned.

        The caller has judged permissions and content before. 0 requests unless an open run lists one of them; then
        those of `Gate.rescue`.

        Args:
            *objects: Further objects that the caller relies on.

        Returns:
            False if the caller must begin anew, with a new window.
        """
        self._objects += objects
        if self.view.run is None:
            return True
        listed = self.view.listed(self._objects)
        if not listed:
            return True
        if self._is_fresh:
            return await self._gate.rescue(self.view, listed)
        self._gate.forget(self.view)  # only a yes comes from memory
        return False

    def is_after(self, earlier: "Window", *objects: StoredObject) -> bool:
        """Say whether no run can have deleted objects since an earlier window. No request."""
        before = earlier.view
        return before.seals == self.view.seals and (before.run is None or not before.listed(objects))

    def is_late(self, *answered: datetime | None) -> bool:
        """Say whether the window is over; a caller that begins anew then asks for a state. No request.

        Args:
            *answered: The store's times of its last answers, as far as the caller knows them.
        """
        view = self.view
        elapsed = boottime() - self._opened
        date = view.seen.date
        for each in answered:
            if date is not None and each is not None:
                elapsed = max(elapsed, (each - date).total_seconds() - self._age)
        if elapsed <= view.link_within:
            return False
        # Where the process's clock stood still, the kept state is older than it seems.
        self._gate.forget(view)
        return True

    async def close(self, *answered: datetime | None) -> None:
        """End the window after the answers to the last links.

        0 requests within `Bounds.link_within`. Later, or where the driver does not tell the store's time, 1: the
        state is asked for again. If it lists an object since, those of `Gate.rescue`.

        Args:
            *answered: The store's times of these answers; None where the driver can't tell it.

        Raises:
            Unavailable: A run of the collector may have deleted an object of this window. The caller does all
                again.
        """
        times = [each for each in answered if each is not None]
        if len(times) == len(answered) and self.view.seen.date is not None and not self.is_late(*times):
            return
        if self._gate.asks:
            await self._look()

    async def _look(self) -> None:
        view = await self._gate.ask()
        if view.seals == self.view.seals:
            listed = view.listed(self._objects)
            if not listed or await self._gate.rescue(view, listed):
                return
        raise self._gate.gave_up(*self._objects)
