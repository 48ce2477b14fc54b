"""A scenario on a store of a profile, made ready to be searched, and the judge of its runs."""

from collections.abc import Sequence
from functools import partial
from unittest.mock import patch

from revstore_async import Digest, Registry

from .acts import NAME, OK, SOURCE, Contents
from .collecting import LONG, OLD, Keeping, enable, wrong_beside_runs
from .event_loop import run
from .explored_store import ExploredStore, Profile
from .invariants import Known, agrees, left_over, look, wrong_answers, wrong_history, wrong_referrers
from .parking import Access, Operation, ParkingDriver, PlainDriver
from .scenarios import ALL_DOCUMENTS, CONFIG, LAYER, MORE, SENT, TAG, UPLOAD, Scenario
from .schedule import Actor, Run
from .search import Case

BEGIN = Operation("begin", "", (Access("docker", below=True),))


async def nothing() -> None:
    """Do nothing."""


def case(scenario: Scenario, profile: Profile) -> Case:
    """Make the case of a scenario on a store of a profile."""
    known = _known(scenario)
    store = run(_prepared(scenario, profile))
    before = look(store, known, scenario.policy)
    start = _start(scenario)
    by_name = {
        f"{number}.{place} {act.name}": act
        for number, actor in enumerate(scenario.actors)
        for place, act in enumerate(actor)
    }

    def judge(done: Run) -> Sequence[str]:
        sight = look(done.store, known, scenario.policy)
        if scenario.runs:
            return wrong_beside_runs(done, by_name, start, sight, known)
        wrong = [*sight.wrong, *wrong_history(done, before, sight)]
        if done.store.profile.deaths:  # a client repeats the call of an actor that died, and mends the rest
            return wrong
        wrong += sight.dangling
        wrong += wrong_answers(done, by_name, start, sight)
        wrong += wrong_referrers(sight, known)
        if not done.store.profile.lost_answers:
            wrong += left_over(done.store, scenario.uploads)
        return wrong

    def looked(store: ExploredStore) -> Sequence[str]:
        return look(store, known, scenario.policy).wrong

    assert not before.wrong
    assert agrees(start, before)
    return Case(
        scenario.name,
        store,
        [_actor(scenario, number) for number in range(len(scenario.actors))],
        judge,
        None if any(isinstance(act, Keeping) for act in by_name.values()) else looked,
    )


def _known(scenario: Scenario) -> Known:
    """Return the things that a scenario may leave in a registry."""
    acts = [act for actor in scenario.actors for act in actor]
    return Known(
        {document.digest: document for document in ALL_DOCUMENTS},
        {Digest.of(content): content for content in (CONFIG, LAYER, SENT, SENT + MORE)},
        scenario.uploads,
        (TAG, OLD if scenario.runs else "other"),
        layers_may_go=any(act.name.startswith("delete layer") for act in acts),
    )


def _start(scenario: Scenario) -> Contents:
    """Return the contents of the registry after the calls before, by their meaning."""
    layers = {(NAME, Digest.of(CONFIG)), (NAME, Digest.of(LAYER)), (SOURCE, Digest.of(LAYER))}
    contents = Contents(layers=frozenset(layers), uploads=dict.fromkeys(scenario.uploads, b""))
    for act in scenario.before:
        contents = next(after for word, after in act.means(contents) if word == OK)
    return contents


def _actor(scenario: Scenario, number: int) -> Actor:
    async def call(run: Run, number: int, registry: Registry) -> None:
        for place, act in enumerate(scenario.actors[number]):
            await run.call(number, f"{number}.{place} {act.name}", partial(act.do, registry))

    async def acting_alone(run: Run, number: int, driver: ParkingDriver) -> None:
        await run.passed(BEGIN, nothing)  # at any time: the clocks of a call begin with it
        async with Registry(driver, policy=scenario.policy) as registry:
            await call(run, number, registry)

    async def acting(run: Run, number: int, driver: ParkingDriver) -> None:
        registry = run.kept.get("shared" if scenario.one_process else number)
        if not isinstance(registry, Registry):
            registry = run.kept["shared" if scenario.one_process else number] = Registry(
                driver, policy=scenario.policy
            )
            await registry.__aenter__()  # it is never left: the last of several actors would have to do that
        await call(run, number, registry)

    return acting_alone if scenario.runs else acting


async def _prepared(scenario: Scenario, profile: Profile) -> ExploredStore:
    """Make the store that a scenario begins with; each step takes ten seconds."""
    store = ExploredStore(profile)
    async with Registry(PlainDriver(store)) as registry:
        repository = registry.repository(NAME)
        await repository.blobs.put(CONFIG)
        await repository.blobs.put(LAYER)
        await registry.repository(SOURCE).blobs.put(LAYER)
        if scenario.uploads:
            with patch("os.urandom", bytes):  # its name is known to the acts
                assert (await repository.uploads.start()).id == UPLOAD
        for act in scenario.before:
            store.began += 10
            await act.do(registry)
        store.began += 10
        if scenario.runs:
            await enable(registry)
            store.began += LONG
    return store
