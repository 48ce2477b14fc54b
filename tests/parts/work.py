"""How much work something is for inputs that grow: told as a ratio, so that a busy machine makes no difference."""

import gc
import time
from collections.abc import Callable

from revstore_async.errors import RevstoreError

FACTOR = 4
"""How much larger each input is than the one before."""

BEARABLE = 8
"""How much more work such an input may be: linear work is 4 times as much, quadratic 16 times."""

_SMALLEST = 1 << 12  # bytes: even quadratic work ends soon there
_LONG = 1.0  # seconds of the processor: linear work on such inputs takes a tenth of it at most
_TRIES = 5
_FLOOR = 0.002  # seconds of the processor, below which its clock and caches tell more than the work does

Work = Callable[[bytes], object]
Shape = Callable[[int], bytes]


def growth(work: Work, shape: Shape, largest: int) -> float:
    """Return by how much work grows from one input to the next, at least, twice in succession.

    Once proves nothing: a reader may do less for inputs below some size. The sizes begin small, and it ends where
    growth is unbearable, so that work which is not linear is told before it takes minutes.

    Args:
        work: What reads an input. It may refuse the input, by an error of the engine or a `ValueError`.
        shape: Makes an input of about so many bytes.
        largest: The size up to which inputs grow; once more beyond, where the last step was unbearable.
    """
    worst, before, size, smaller = 1.0, 1.0, _SMALLEST, _Measured(work, shape(_SMALLEST))
    while size < largest or before > BEARABLE:
        larger = _Measured(work, shape(size * FACTOR))
        ratio, long = _ratio(smaller, larger)
        worst = max(worst, ratio if long else min(before, ratio))
        if worst > BEARABLE:
            break
        before, size, smaller = ratio, size * FACTOR, larger
    return worst


class _Measured:
    """An input, and the work that it was last.

    Attributes:
        seconds: That work, in seconds of the processor.
    """

    def __init__(self, work: Work, content: bytes) -> None:
        self._work = work
        self._content = content
        self.seconds = _seconds(work, content)

    def again(self) -> None:
        """Measure once more."""
        self.seconds = _seconds(self._work, self._content)


def _ratio(smaller: _Measured, larger: _Measured) -> tuple[float, bool]:
    """Return the ratio, and whether the larger input took so long that once is enough."""
    ratio = float("inf")
    for attempt in range(_TRIES):  # one try that nothing disturbed tells
        if attempt:
            larger.again()
            smaller.again()
        ratio = min(ratio, larger.seconds / max(smaller.seconds, _FLOOR))
        if ratio <= BEARABLE or larger.seconds > _LONG:
            break
    return ratio, larger.seconds > _LONG


def _seconds(work: Work, content: bytes) -> float:
    gc.disable()  # its rounds grow with all objects of the process, not with the work
    begun = time.process_time()
    try:
        work(content)
    except (RevstoreError, ValueError) as error:
        str(error)  # it is told to a client, or logged
    finally:
        gc.enable()
    return time.process_time() - begun
