"""The search of all orders: each schedule is run from the start, and differs from one before in its last choice.

Two things are left out, because they lead to nothing new:

- a state that the search has seen. The state is the store, the answers that each task has received, the order of
  calls that did not overlap, and all revisions that each tag has had;
- the orders of an operation on keys that no other actor uses: it goes first. The search learns the keys of each
  actor on the way. When an actor uses a key that an earlier decision did not expect, the search begins anew. Tasks
  of one actor that run at once are taken to use different keys.

A bound leaves out more: schedules that depart more often from the usual one. In the usual one each actor goes on
until it is done, and its operations go in the order in which they came. On a profile with
sleepers, an actor that waits for a time goes on by that, while others sleep before their operations.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .explored_store import ExploredStore
from .parking import Access
from .schedule import Actor, Parked, Run, reproducible
from .seeds import Seed

Judge = Callable[[Run], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Case:
    """What is explored.

    Attributes:
        name: Its name in seeds.
        store: What is stored at the start; a run works on a copy.
        actors: What runs at once.
        judge: Says what is wrong after a run.
        look: Says what is wrong with a store in the middle of a run.
        independent: Whether the orders of what meets no other are left out.
        cut: Whether a state that was seen before is left out.
    """

    name: str
    store: ExploredStore
    actors: Sequence[Actor]
    judge: Judge
    look: Callable[[ExploredStore], Sequence[str]] | None = None
    independent: bool = True
    cut: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule after which something is wrong."""

    seed: Seed
    wrong: tuple[str, ...]
    log: tuple[str, ...]


@dataclass(slots=True)
class Found:
    """The result of a search.

    Attributes:
        schedules: How many runs there were.
        whole: How many of them went to their end.
        states: How many distinct states were seen.
        complete: Whether all was looked at.
        cut: Whether the time was over before the search was.
        failures: At most one for each sort of thing that is wrong.
    """

    schedules: int = 0
    whole: int = 0
    states: int = 0
    complete: bool = True
    cut: bool = False
    failures: list[Failure] = field(default_factory=list)


class Search:
    """A search of one case.

    Args:
        case: The case.
        bound: How often a schedule departs from the usual at most; None for any number.
        limit: Schedules at most.
        enough: Failures after which it ends.
        over: Returns whether the time of the search is over. The search asks before each schedule.
    """

    def __init__(
        self,
        case: Case,
        *,
        bound: int | None = None,
        limit: int | None = None,
        enough: int = 1,
        over: Callable[[], bool] = lambda: False,
    ) -> None:
        self.case = case
        self.found = Found()
        self._bound = bound
        self._limit = limit
        self._enough = enough
        self._over = over
        # one more for the store, which carries out deletions late
        self._footprints: list[set[Access]] = [set() for _ in (*case.actors, None)]
        self._relied: list[set[Access]] = [set() for _ in (*case.actors, None)]
        self._alone: dict[tuple[int, tuple[Access, ...]], bool] = {}
        self._seen: dict[int, int] = {}
        self._looked: set[int] = {case.store.mark}
        self._again = False
        self._wrong: set[str] = set()

    def run(self) -> Found:
        """Search."""
        with reproducible():
            while True:
                self._again = False
                self._pass()
                if not self._again:
                    break
                self._seen.clear()
                for relied in self._relied:
                    relied.clear()
        self.found.states = len(self._seen)
        return self.found

    def _pass(self) -> None:
        waiting: list[tuple[int, ...]] = [()]
        while waiting and not self._again:
            if len(self.found.failures) >= self._enough or self.found.schedules == self._limit:
                self.found.complete = False
                return
            if self._over():
                self.found.complete, self.found.cut = False, True
                return
            steering = _Steering(self, waiting.pop(), waiting)
            run = Run(self.case.store.copy(), self.case.actors, steering.choose, self._unseen)
            run.perform()
            self.found.schedules += 1
            self.found.whole += not run.stopped
            self._judge(run)

    def _unseen(self, mark: int) -> bool:
        if self.case.look is None or mark in self._looked:
            return False
        self._looked.add(mark)
        return True

    def _judge(self, run: Run) -> None:
        for snapshot in run.snapshots:
            if self.case.look is not None and (wrong := self.case.look(snapshot.store)):
                self._fail(run, snapshot.steps, wrong)
        wrong = list(run.failures) if run.stopped else [*run.failures, *self.case.judge(run)]
        if wrong:
            self._fail(run, len(run.choices), wrong)

    def _fail(self, run: Run, steps: int, wrong: Sequence[str]) -> None:
        if wrong[0] in self._wrong:
            return
        self._wrong.add(wrong[0])
        choices = shortened(self.case, tuple(run.choices[:steps]), wrong[0], self._over)
        _, log = replayed(self.case, choices)
        seed = Seed(self.case.name, self.case.store.profile.name, choices)
        self.found.failures.append(Failure(seed, tuple(wrong), tuple(log)))

    # ---- what the steering asks

    def learn(self, parked: Parked) -> None:
        """Remember the keys that an actor uses."""
        mine = self._footprints[parked.actor]
        new = [access for access in parked.operation.accesses if access not in mine]
        if not new:
            return
        mine.update(new)
        self._alone.clear()
        for actor, relied in enumerate(self._relied):
            if actor != parked.actor and any(access.meets(each) for access in new for each in relied):
                self._again = True

    def alone(self, parked: Parked, others: Sequence[Parked]) -> bool:
        """Say whether no other operation uses the keys of this one: of other actors at any time, of its own now."""
        if not self.case.independent:
            return False
        place = (parked.actor, parked.operation.accesses)
        if place not in self._alone:
            self._alone[place] = not any(
                access.meets(other)
                for actor, footprint in enumerate(self._footprints)
                if actor != parked.actor
                for other in footprint
                for access in parked.operation.accesses
            )
        if not self._alone[place] or any(_meet(parked, other) for other in others if other is not parked):
            return False
        self._relied[parked.actor].update(parked.operation.accesses)
        return True

    def new(self, state: int, left: int) -> bool:
        """Say whether a state was not seen yet with so many departures left, and remember it."""
        if self.case.cut and self._seen.get(state, -1) >= left:
            return False
        self._seen[state] = left
        return True

    @property
    def bound(self) -> int | None:
        """How often a schedule departs from the usual at most."""
        return self._bound

    @property
    def again(self) -> bool:
        """Whether a decision was wrong, and all begins anew."""
        return self._again


class _Steering:
    """Chooses for one run: first as told, then the first option; each other option gets a run of its own."""

    def __init__(self, search: Search, told: tuple[int, ...], waiting: list[tuple[int, ...]]) -> None:
        self._search = search
        self._told = told
        self._waiting = waiting
        self._active = -1 if search.case.store.profile.sleepers else 0
        self._departed = 0

    def choose(self, run: Run) -> int | None:
        for parked in run.parked:
            self._search.learn(parked)
        if self._search.again:
            return None
        run.options()  # puts them in order
        alone = next((n for n, each in enumerate(run.parked) if self._search.alone(each, run.parked)), None)
        step = len(run.choices)
        if step < len(self._told):
            chosen = self._told[step]
        else:
            candidates = range(len(run.parked)) if alone is None else (alone,)
            options = self._affordable(run, candidates, free=alone is not None)
            if len(options) > 1 or alone is None:
                state = hash((run.state(), self._active if self._search.bound is not None else 0))
                if not self._search.new(state, self._left()):
                    return None
            chosen, *others = options
            self._waiting.extend((*run.choices, other) for other in reversed(others))
        self._take(run, chosen, free=alone is not None)
        return chosen

    def _left(self) -> int:
        return 0 if self._search.bound is None else self._search.bound - self._departed

    def _affordable(self, run: Run, candidates: Sequence[int], *, free: bool) -> list[int]:
        options = [n for n in candidates if free or self._cost(run, n) <= self._left()]
        count = len(run.parked)
        options += [count + n for n in options if run.may_lose(run.parked[n])]
        if not free and run.may_wait() and self._cost_of_time(run) <= self._left():
            options.insert(0 if run.sleeps(self._active) else len(options), 2 * count)
        return options

    def _cost_of_time(self, run: Run) -> int:
        return 0 if self._search.bound is None or run.sleeps(self._active) else 1

    def _cost(self, run: Run, number: int) -> int:
        """Return 1 where an option departs from the usual: the actor at work goes on, its first operation first."""
        if self._search.bound is None:
            return 0
        chosen, earlier = run.parked[number], run.parked[:number]
        goes_on = run.sleeps(self._active) or any(parked.actor == self._active for parked in run.parked)
        if goes_on and chosen.actor != self._active:
            return 1
        return int(any(parked.actor == chosen.actor for parked in earlier))

    def _take(self, run: Run, chosen: int, *, free: bool) -> None:
        if free:
            return
        if chosen == 2 * len(run.parked):
            self._departed += self._cost_of_time(run)
            return
        number = chosen % len(run.parked)
        self._departed += self._cost(run, number)
        self._active = run.parked[number].actor


def _meet(one: Parked, other: Parked) -> bool:
    return any(a.meets(b) for a in one.operation.accesses for b in other.operation.accesses)


def replay(case: Case, choices: Sequence[int]) -> tuple[list[str], list[str]]:
    """Run one schedule; return its faults and its log."""
    with reproducible():
        return replayed(case, choices)


def replayed(case: Case, choices: Sequence[int]) -> tuple[list[str], list[str]]:
    """As `replay`, within `reproducible`."""

    def choose(run: Run) -> int | None:
        step = len(run.choices)
        chosen = choices[step] if step < len(choices) else 0
        return chosen if chosen <= 2 * len(run.parked) else 0

    marks: set[int] = {case.store.mark}

    def unseen(mark: int) -> bool:
        return case.look is not None and mark not in marks and not marks.add(mark)  # type: ignore[func-returns-value]

    run = Run(case.store.copy(), case.actors, choose, unseen).perform()
    wrong = [each for snapshot in run.snapshots for each in (case.look(snapshot.store) if case.look else ())]
    wrong += run.failures
    if not run.stopped:
        wrong += case.judge(run)
    return wrong, run.log


def shortened(
    case: Case, choices: tuple[int, ...], wrong: str, over: Callable[[], bool] = lambda: False
) -> tuple[int, ...]:
    """Return a schedule with fewer choices that goes wrong in the same way, if one is found in time.

    Args:
        case: The case.
        choices: The schedule.
        wrong: Its fault.
        over: Returns whether the time is over.
    """

    def fails(tried: Sequence[int]) -> bool:
        return wrong in replayed(case, tried)[0]

    best = list(choices)
    for step in reversed(range(len(best))):
        if best[step] and not over():
            tried = [*best[:step], 0, *best[step + 1 :]]
            if fails(tried):
                best = tried
    while best and not best[-1]:
        best.pop()
    return tuple(best)
