"""Without any one part of the protocol of collector and writers, the explorer finds a loss.

Each test switches a part off, and searches one scenario. `docs/collector.md` has the protocol.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from revstore_async.blobs.gate import Gate, Window
from revstore_async.blobs.views import Listed, View
from revstore_async.collector import lists, sparing
from revstore_async.collector.owned import OwnedRun
from revstore_async.collector.running import OnlineRun
from revstore_async.collector.sparing import Sparing
from revstore_async.collector.sweeping import OnlineSweep
from revstore_async.driver.clocks import boottime
from revstore_async.layout import Rescue, StoredObject
from revstore_async.runs.lists import key_hash

from . import collecting
from .cases import case
from .collecting import BOUNDS
from .explored_store import LOST_RUNS, MEMORY_RUNS, ExploredStore, Profile
from .run_scenarios import RUNS
from .search import Found, Search

Patch = pytest.MonkeyPatch


def searched(scenario: str, profile: Profile = MEMORY_RUNS, *, bound: int = 1, limit: int = 2000) -> Found:
    return Search(case(RUNS[scenario], profile), bound=bound, limit=limit).run()


def second_listing(patch: Patch) -> None:
    async def none(self: OnlineRun, owned: OwnedRun, sparing: Sparing) -> None:
        """List nothing again."""

    patch.setattr(OnlineRun, "_list_again", none)


def state_before_content(patch: Patch) -> None:
    relying = Window.rely

    async def late(self: Window, *objects: StoredObject) -> bool:
        self.view, self._opened, self._age, self._is_fresh = await self._gate.ask(), boottime(), 0.0, True
        return await relying(self, *objects)

    patch.setattr(Window, "rely", late)


def rescues_listed_after_the_seal(patch: Patch) -> None:
    listing, finding = OnlineRun._list_again, OnlineRun._find_rescues

    async def early(self: OnlineRun, owned: OwnedRun, sparing: Sparing) -> None:
        await listing(self, owned, sparing)
        await finding(self, owned, sparing)

    async def none(self: OnlineRun, owned: OwnedRun, sparing: Sparing) -> None:
        """List no rescues."""

    patch.setattr(OnlineRun, "_list_again", early)
    patch.setattr(OnlineRun, "_find_rescues", none)


def state_read_again_after_a_rescue(patch: Patch) -> None:
    async def careless(self: Gate, view: View, listed: Sequence[Listed]) -> bool:
        assert view.run is not None
        for each in listed:
            await self._driver.put(self._layout.key(Rescue(view.run.run, each.hashed.hex())), b"")
        return view.is_condemned

    patch.setattr(Gate, "rescue", careless)
    # The window is long, so that its end does not save the writer.
    patch.setattr(collecting, "BOUNDS", replace(BOUNDS, link_within=timedelta(seconds=60)))


def fence(patch: Patch) -> None:
    def none(self: ExploredStore, key: str, until: datetime | None, now: datetime) -> None:
        """Carry out each deletion, also after its end."""

    patch.setattr(ExploredStore, "check_not_ended", none)


def hold(patch: Patch) -> None:
    patch.setattr(collecting, "BOUNDS", replace(BOUNDS, hold=timedelta(0)))


def links_among_the_condemned_keys(patch: Patch) -> None:
    def of_others(root: str, key: str) -> bytes:
        return hashlib.sha256(key.encode()).digest() if "/_layers/" in key else key_hash(root, key)

    patch.setattr(lists, "key_hash", of_others)


def spared_with_all_that_they_refer_to(patch: Patch) -> None:
    patch.setattr(sparing, "_FOLLOW", ())


def end_of_the_window(patch: Patch) -> None:
    def never(self: Window, *answered: datetime | None) -> bool:
        return False

    patch.setattr(Window, "is_late", never)


def ranks(patch: Patch) -> None:
    async def backwards(self: OnlineSweep, count: int) -> None:
        for shard in reversed(range(count)):
            await self._delete(self._read(shard, 0))

    patch.setattr(OnlineSweep, "delete_shards", backwards)


LATE = replace(LOST_RUNS, losing="delete", late=30.0)


@pytest.mark.parametrize(
    ("part", "search"),
    [
        (second_listing, partial(searched, "collect-tag")),
        (state_before_content, partial(searched, "collect-mount")),
        (rescues_listed_after_the_seal, partial(searched, "collect-mount")),
        (state_read_again_after_a_rescue, partial(searched, "collect-mount", bound=2)),
        (fence, partial(searched, "collect-push")),
        (hold, partial(searched, "collect-dies-layer", LATE)),
        (links_among_the_condemned_keys, partial(searched, "collect-put-new")),
        (spared_with_all_that_they_refer_to, partial(searched, "collect-tag")),
        (end_of_the_window, partial(searched, "collect-mount")),
        (ranks, partial(searched, "collect-pull", bound=0)),
    ],
)
def test_without_a_part_of_the_protocol_a_loss_is_found(
    part: Callable[[Patch], None], search: Callable[[], Found], monkeypatch: Patch
) -> None:
    part(monkeypatch)
    assert search().failures
