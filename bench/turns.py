"""Measures ways in turns, so that a disturbance of the machine disturbs all of them alike."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

Way = Callable[[int], Awaitable[float]]
"""Does the thing once in the turn of this number (below 0 during the warm-up), and returns its sample."""


async def timed_call(call: Callable[[], Awaitable[object]], _turn: int = 0) -> float:
    """Call once and return the milliseconds that it took: a `Way`, once the call is bound."""
    start = time.perf_counter()
    await call()
    return (time.perf_counter() - start) * 1000


async def in_turns(
    ways: Mapping[str, Way],
    turns: int,
    *,
    warm_up: int = 1,
    on_turn: Callable[[int], None] = lambda _turn: None,
) -> tuple[Mapping[str, Sequence[float]], Mapping[str, str]]:
    """Measure each way once in each turn; the order is turned round each time: A B, B A, A B.

    Args:
        ways: The ways to compare, by name.
        turns: The number of samples of each.
        warm_up: The number of turns before that; they don't count.
        on_turn: Called with the number of each turn.

    Returns:
        The samples of each way, and the errors of the failed ones. A way that failed takes no further turns.
    """
    samples: dict[str, list[float]] = {name: [] for name in ways}
    failed: dict[str, str] = {}
    for turn in range(-warm_up, turns):
        on_turn(turn)
        order = list(ways.items())
        for name, way in order if turn % 2 == 0 else reversed(order):
            if name in failed:
                continue
            try:
                sample = await way(turn)
            except Exception as error:  # noqa: BLE001 (the results record it in the sample's place)
                failed[name] = f"{type(error).__name__}: {error}"[:300]
                continue
            if turn >= 0:
                samples[name].append(sample)
    return {name: taken for name, taken in samples.items() if name not in failed}, failed
