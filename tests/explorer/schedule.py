"""One run of several actors on one store. A schedule says in which order their operations go on."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar
from unittest.mock import patch

from revstore_async.driver import Reader
from revstore_async.errors import RevstoreError, Unavailable

from .event_loop import IdleLoop, run_on, without_threads
from .explored_store import ExploredStore
from .parking import Operation, ParkingDriver
from .run_values import Call, GivenUp, Parked, Snapshot, said, short

Answer = TypeVar("Answer")
Life = list[tuple[bytes, str, object] | None]

STEPS_AT_MOST = 1500
"""Operations of a run at most: what needs more goes on for ever."""


TURNS_AT_MOST = 10_000
"""Turns of a run's loop without an operation at most, likewise."""


class Endless(Exception):
    """A run goes on without an operation."""


Actor = Callable[["Run", int, ParkingDriver], Awaitable[None]]
"""What runs beside others: it is given the run, its own number and its driver."""

Chooser = Callable[["Run"], int | None]
"""Says which option of a run is taken; None to give the run up."""

_ACTOR: ContextVar[int] = ContextVar("actor")
_CALL: ContextVar[int | None] = ContextVar("call", default=None)


@dataclass(eq=False)
class Run:
    """A run. It is the gate of its drivers.

    Attributes:
        store: What the actors work on.
        actors: Them.
        choose: Says what happens next.
        watched: Says of a state of the store whether it is to be looked at.
        parked: The operations that wait.
        choices: What was chosen so far.
        calls: The calls so far.
        life: What each watched key held, one after another.
        log: What happened, a line for each step.
        failures: What went wrong by itself.
        snapshots: The states of the store that are to be looked at.
        last: The actor that acted last.
        lost: How many answers were lost.
        dead: The actors that died.
        stopped: Whether the run was given up.
        kept: What actors share.
    """

    store: ExploredStore
    actors: Sequence[Actor]
    choose: Chooser
    watched: Callable[[int], bool] = lambda mark: False
    parked: list[Parked] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    life: dict[str, Life] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    last: int = 0
    lost: int = 0
    dead: set[int] = field(default_factory=set)
    stopped: bool = False
    kept: dict[object, object] = field(default_factory=dict)
    _arrived: int = 0
    _turns: int = 0
    _cancelled: bool = False
    _traces: dict[str, int] = field(default_factory=dict)
    _drawn: dict[str, int] = field(default_factory=dict)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    def perform(self) -> "Run":
        """Do it; return this run."""
        self.loop = IdleLoop(self._idle)
        self.loop.random = self.random
        self.store.now = self.loop.time
        for key, file in self.store.objects.items():
            if is_watched(key):
                self.life[key] = [_state(file)]
        try:
            run_on(self.loop, self._main())
        except Endless:
            self.failures.append(f"it goes on for {TURNS_AT_MOST} turns without an operation")
            self.stopped = True
        return self

    async def _main(self) -> None:
        for number, actor in enumerate(self.actors):
            self._tasks.append(asyncio.ensure_future(self._acting(number, actor)))
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, BaseException) and not self.stopped:
                self.failures.append(f"an actor ended with {ended!r}")
        if any(parked.end is None for parked in self.parked) and not self.stopped:
            self.failures.append("an operation goes on after its actor is done")

    async def _acting(self, number: int, actor: Actor) -> None:
        _ACTOR.set(number)
        await actor(self, number, ParkingDriver(self.store, self))

    # ---- what actors do

    async def call(self, actor: int, name: str, work: Callable[[], Awaitable[object]]) -> object:
        """Do one call of an actor, and remember how it went; an error of the engine is an answer."""
        number, call = len(self.calls), Call(actor, name)
        self.calls.append(call)
        _CALL.set(number)
        try:
            call.answer = await work()
        except RevstoreError as error:
            call.answer = error
        if self.stopped:
            return None
        call.done = True
        if call.after is None:
            call.after = self._answered(but=number)
        self.log.append(f"{'':>4} {actor}: {name} is answered: {said(call.answer)}")
        return call.answer

    async def passed(self, operation: Operation, perform: Callable[[], Awaitable[Answer]]) -> Answer:
        """Perform an operation when its turn has come."""
        if self.stopped:
            raise GivenUp("", "the run is over")
        actor = _actor()
        if actor in self.dead:
            raise GivenUp("", "the actor has died")
        task = f"{actor}{asyncio.current_task().get_name()}"
        parked = Parked(actor, task, self._arrived, operation, self.loop.create_future())
        self._arrived += 1
        self.parked.append(parked)
        try:
            lost = await parked.turn
        except asyncio.CancelledError:
            if parked in self.parked:
                self.parked.remove(parked)
            self._trace(task, operation, "cancelled")
            raise
        number = _CALL.get()
        if number is not None and self.calls[number].after is None:
            self.calls[number].after = self._answered(but=number)
        if lost and operation.method.startswith("delete") and self.store.profile.late:
            self._accept(parked)
            raise Unavailable(operation.text, "the answer was lost")
        before = self.store.mark
        try:
            answer = await perform()
        except RevstoreError as error:
            self._happened(parked, f"{type(error).__name__}: {error}", before)
            raise
        self._happened(parked, answer, before)
        if lost:
            self.log[-1] += ", and the answer is lost"
            self._trace(task, operation, "lost")
            if self.store.profile.deaths:
                self._die(parked.actor)
            raise Unavailable(operation.text, "the answer was lost")
        return answer

    def _accept(self, deletion: Parked) -> None:
        """Have the store carry out a deletion at any later step, though its answer is lost."""
        turn = self.loop.create_future()
        end = self.loop.time() + self.store.profile.late
        late = Parked(len(self.actors), deletion.task, self._arrived, deletion.operation, turn, end)
        self._arrived += 1
        self._trace(deletion.task, deletion.operation, "late")
        self.log.append(
            f"{len(self.choices) - 1:>4} {deletion.actor}: {short(str(deletion.operation))}: later"
        )

        def carry_out(turn: "asyncio.Future[bool]") -> None:
            if turn.cancelled() or turn.exception():
                return
            before = self.store.mark
            for access in late.operation.accesses:
                self.store.remove(access.key)
            self._happened(late, "it is carried out late", before)

        turn.add_done_callback(carry_out)
        self.parked.append(late)
        if self.store.profile.deaths:
            self._die(deletion.actor)

    def _die(self, actor: int) -> None:
        self.dead.add(actor)
        for other in [parked for parked in self.parked if parked.actor == actor]:
            self.parked.remove(other)
            other.turn.set_exception(GivenUp("", "the actor has died"))

    # ---- what the scheduler does

    def options(self) -> list[tuple[Parked | None, bool]]:
        """Return the options of a step: each waiting operation, the same with its answer lost, time that passes.

        The operations of the actor that acted last come first.
        """
        self.parked.sort(key=lambda parked: (parked.actor != self.last, parked.actor, parked.number))
        going: list[tuple[Parked | None, bool]] = [(parked, False) for parked in self.parked]
        return [*going, *((parked, True) for parked in self.parked), (None, False)]

    def may_lose(self, parked: Parked) -> bool:
        """Say whether the answer of an operation may be lost."""
        profile = self.store.profile
        return (
            self.lost < profile.lost_answers
            and parked.end is None
            and parked.operation.writes
            and parked.operation.method.startswith(profile.losing)
        )

    def sleeps(self, actor: int) -> bool:
        """Say whether an actor waits for a time, for which the operations of others may sleep."""
        return (
            self.store.profile.sleepers
            and 0 <= actor < len(self._tasks)
            and actor not in self.dead
            and not self._tasks[actor].done()
            and not any(parked.actor == actor for parked in self.parked)
            and self.may_wait()
        )

    def may_wait(self) -> bool:
        """Say whether time may pass though operations wait."""
        timer = self.loop.next_timer()
        return timer is not None and timer <= self.store.profile.patience

    def state(self) -> int:
        """Return the number of the whole state: the store, and the answers that each task has received."""
        lives = ((key, tuple(life)) for key, life in self.life.items())
        calls = tuple((call.actor, call.after, call.done) for call in self.calls)
        said = frozenset(self._traces.items())
        # The numbers of calls depend on the order in which they began.
        order = tuple(sorted((call[0], self._names(call[1]), call[2]) for call in calls))
        return hash((self.store.mark, said, frozenset(lives), order, self.lost, self.loop.time()))

    def stop(self) -> None:
        """Give up: nothing has an effect any more."""
        self.stopped = True
        for parked in self.parked:
            parked.turn.set_exception(GivenUp("", "the run is over"))
        self.parked.clear()

    def _idle(self) -> bool:
        self._turns += 1
        if self._turns > TURNS_AT_MOST:
            raise Endless
        if self.stopped:
            return self._ended()
        self._drop_late()
        if not self.parked:
            if self.loop.next_timer() is not None:
                return False
            self.failures.append("all wait for one another")
            return self._ended()
        if len(self.choices) >= STEPS_AT_MOST:
            self.failures.append(f"it goes on after {STEPS_AT_MOST} operations")
            self.stop()
            return True
        chosen = self.choose(self)
        if chosen is None:
            self.stop()
            return True
        parked, lost = self.options()[chosen]
        self._turns = 0
        self.choices.append(chosen)
        if parked is None:
            self.log.append(f"{len(self.choices) - 1:>4} time passes")
            self.loop.pass_time(self.loop.next_timer() or 0)
            return True
        self.last = parked.actor
        self.lost += lost
        self.parked.remove(parked)
        parked.turn.set_result(lost)
        return True

    def _drop_late(self) -> None:
        for parked in [each for each in self.parked if each.end is not None and each.end < self.loop.time()]:
            self.parked.remove(parked)
            parked.turn.cancel()

    def _ended(self) -> bool:
        """Cancel the actors, and after that let time pass: an actor may clean up for seconds before it ends."""
        self.stopped = True
        if self._cancelled and self.loop.next_timer() is not None:
            return False
        self._cancelled = True
        for task in self._tasks:
            task.cancel()
        return True

    def _happened(self, parked: Parked, answer: object, before: int) -> None:
        operation = parked.operation
        self._trace(parked.task, operation, answer)
        self.log.append(f"{len(self.choices) - 1:>4} {parked.actor}: {short(str(operation))}: {said(answer)}")
        if self.store.mark == before:
            return
        for key in {*self.life, *(access.key for access in operation.accesses if access.write)}:
            if is_watched(key):
                life, file = self.life.setdefault(key, [None]), self.store.objects.get(key)
                state = None if file is None else _state(file)
                if life[-1] != state:
                    life.append(state)
        if self.watched(self.store.mark):
            self.snapshots.append(Snapshot(len(self.choices), self.store.copy()))

    def _trace(self, task: str, operation: Operation, answer: object) -> None:
        told = answer.info if isinstance(answer, Reader) else answer
        self._traces[task] = hash((self._traces.get(task, 0), operation.method, operation.text, told))

    def _answered(self, *, but: int) -> frozenset[int]:
        return frozenset(number for number, call in enumerate(self.calls) if call.done and number != but)

    def _names(self, calls: frozenset[int] | None) -> tuple[tuple[int, int], ...]:
        if calls is None:
            return ()
        before = [sum(each.actor == self.calls[n].actor for each in self.calls[:n]) for n in sorted(calls)]
        return tuple(sorted((self.calls[n].actor, b) for n, b in zip(sorted(calls), before, strict=True)))

    def random(self, size: int) -> bytes:
        """Return bytes that are the same in each run, and no other task's."""
        task = asyncio.current_task()
        place = f"{_actor()}{task.get_name() if task else ''}"
        self._drawn[place] = self._drawn.get(place, 0) + 1
        return hashlib.shake_128(f"{place}/{self._drawn[place]}".encode()).digest(size)


def _actor() -> int:
    """Return the number of the actor that a task works for."""
    try:
        return _ACTOR.get()
    except LookupError:  # a task with a context of its own: its name begins with that of the actor's task
        task = asyncio.current_task()
        assert task is not None
        return int(task.get_name().split(".")[2])


def is_watched(key: str) -> bool:
    """Say whether a run remembers all contents of a key: it does so for the current links of tags."""
    return key.endswith("/current/link")


def _state(file: object) -> tuple[bytes, str, object]:
    return file.content, file.info.etag, file.info.modified


def _random(size: int) -> bytes:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, IdleLoop)
    return loop.random(size)


@contextmanager
def reproducible() -> Iterator[None]:
    """Have programs draw the same random bytes in each run, and compute in no thread."""
    with (
        without_threads(),
        patch("os.urandom", _random),
        patch("random._urandom", _random),
    ):
        yield
