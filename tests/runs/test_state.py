"""The state of the collector as bytes, and its swaps."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async import Digest
from revstore_async.errors import CollectorStateOfNewerEngine, CollectorStateUnreadable
from revstore_async.layout import CURRENT, CollectorState
from revstore_async.runs.lists import HashList, join_hashes, key_hash
from revstore_async.runs.state import Bounds, FormerBounds, NewerVersion, Phase, Shard, State
from revstore_async.runs.store import StateStore
from revstore_drivers.memory import MemoryDriver

NOW = datetime(2026, 12, 1, tzinfo=UTC)
SHARD = Shard("condemned-0", 3, Digest.of(b"a list"))
SWEEPING = State(
    phase=Phase.SWEEPING,
    n=4,
    run="20261201T000000Z-1",
    owner="a host",
    until=NOW,
    shards=(SHARD,),
    spared=SHARD,
    former=FormerBounds(Bounds(), NOW),
    bounds=Bounds(keep=timedelta(seconds=1)),
    enabled=NOW,
    fenced=False,
    last=NOW,
    retention=Digest.of(b"rules"),
)


@pytest.mark.parametrize("state", [State(), SWEEPING, SWEEPING.idle()])
def test_a_state_comes_back_from_its_bytes(state: State) -> None:
    assert State.decode(state.encode()) == state


def test_equal_states_have_other_bytes() -> None:
    assert SWEEPING.encode() != SWEEPING.encode()


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="state"):
        State.decode(content)


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "asleep"},
        {"phase": "idle"},
        {"run": None},
        {"spared": None},
        {"shards": [{"name": "a"}]},
        {"n": None},
        {"until": "tomorrow"},
        {"bounds": {"keep": -1}},
        {"retention": "sha256:0"},
        {"version": "one", "writers": "one"},
    ],
)
def test_a_state_with_a_wrong_member_is_refused(change: dict[str, object]) -> None:
    said = json.loads(SWEEPING.encode()) | change
    with pytest.raises(ValueError, match="state"):
        State.decode(json.dumps(said).encode())


def test_a_state_of_a_newer_engine_is_told() -> None:
    said = json.loads(SWEEPING.encode()) | {"writers": 2, "phase": "another"}
    with pytest.raises(NewerVersion):
        State.decode(json.dumps(said).encode())


def test_former_bounds_hold_until_they_have_passed() -> None:
    short = Bounds(keep=timedelta(seconds=1), lease=timedelta(days=2))
    state = State(bounds=short, former=FormerBounds(Bounds(), NOW))
    assert state.in_force(NOW - timedelta(seconds=1)) == Bounds(lease=timedelta(days=2))
    assert state.in_force(NOW) == short


def test_any_process_may_end_a_run_that_its_owner_left() -> None:
    run = replace(SWEEPING, fenced=True, former=None, bounds=Bounds(hold=timedelta(minutes=15)))
    condemned = replace(run, phase=Phase.CONDEMNED, spared=None)
    second, hold = timedelta(seconds=1), timedelta(minutes=15)
    assert not State().is_over(NOW)
    assert not condemned.is_over(NOW)
    assert condemned.is_over(NOW + second)
    assert not run.is_over(NOW + hold)
    assert run.is_over(NOW + hold + second)
    assert not replace(run, fenced=False).is_over(NOW + timedelta(days=1))


def test_a_state_of_before_has_no_last_run() -> None:
    said = json.loads(SWEEPING.encode())
    del said["fenced"], said["last"]
    assert State.decode(json.dumps(said).encode()) == replace(SWEEPING, fenced=True, last=None)


async def test_of_two_swaps_of_one_state_one_wins() -> None:
    async with MemoryDriver() as driver:
        store = StateStore(driver, CURRENT)
        seen = await store.read()
        assert seen.state == State()
        first = await store.swap(seen, replace(SWEEPING, done=1))
        assert first is not None
        assert await store.swap(seen, SWEEPING) is None
        found = await store.read()
        assert (found.state, found.etag) == (first.state, first.etag)


async def test_a_state_that_cannot_be_read_is_an_error() -> None:
    async with MemoryDriver() as driver:
        store, key = StateStore(driver, CURRENT), CURRENT.key(CollectorState())
        for content in (b"", b"{}", b"x" * 2_000_000):
            await driver.put(key, content)
            with pytest.raises(CollectorStateUnreadable, match="writes are refused"):
                await store.read()
        await driver.put(key, json.dumps({"writers": 2}).encode())
        with pytest.raises(CollectorStateOfNewerEngine, match="update this program"):
            await store.read()


@given(
    st.sets(st.text(alphabet="ab/", min_size=1, max_size=5)),
    st.sets(st.text(alphabet="ab/", min_size=1, max_size=5)),
)
def test_a_list_holds_the_hashes_that_it_was_made_of(listed: set[str], others: set[str]) -> None:
    found = HashList(join_hashes(key_hash("root", f"root/{key}") for key in listed))
    assert len(found) == len(listed)
    for key in listed | others:
        assert (key_hash("other", f"other/{key}") in found) == (key in listed)


def test_a_list_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        HashList(b"a" * 31)
