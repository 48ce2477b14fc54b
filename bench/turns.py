"""Ways are measured in turns, so that what disturbs the machine disturbs all of them alike."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

Way = Callable[[int], Awaitable[float]]
"""Does the thing once, given the number of the turn (below 0 while it warms up), and returns its sample."""


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
        ways: What is compared, by name.
        turns: How many samples of each.
        warm_up: Turns before that, which don't count.
        on_turn: Told the number of each turn.

    Returns:
        The samples of each way; and why the others failed. A way that failed takes no further turns.
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
            except Exception as error:  # noqa: BLE001 (it is told in the results, where the sample would be)
                failed[name] = f"{type(error).__name__}: {error}"[:300]
                continue
            if turn >= 0:
                samples[name].append(sample)
    return {name: taken for name, taken in samples.items() if name not in failed}, failed
