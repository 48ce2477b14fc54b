"""The progress of a run: its line for a terminal, and the time that is left."""

import pytest

from revstore_async.collector import Progress


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_reading_tells_what_is_done_and_the_time_that_is_left() -> None:
    clock = _Clock()
    progress = Progress(clock=clock)
    progress.keys = 5000
    assert str(progress) == "listing: 5000 keys"
    progress.begin("read", todo=1000)
    assert str(progress) == "reading: 0 of 1000 manifests, 5000 keys"
    clock.now += 10
    progress.manifests += 100
    assert progress.seconds_left == 90
    assert str(progress) == "reading: 100 of 1000 manifests, 5000 keys, 2 min left"
    progress.manifests += 900
    assert progress.seconds_left == 0
    progress.begin("mark")
    assert str(progress) == "finding out what is needed, of 5000 keys"


def test_a_deletion_counts_by_itself() -> None:
    clock = _Clock()
    progress = Progress(clock=clock, manifests=70)
    progress.begin("delete", todo=4000)
    progress.deleted, progress.bytes = 1000, 123
    clock.now += 20
    assert str(progress) == "deleting: 1000 of 4000 keys, 123 bytes, 60 s left"
    progress.deleted = 5000  # what was found beside the plan
    assert progress.seconds_left == 0


def test_a_second_reading_counts_by_itself() -> None:
    clock = _Clock()
    progress = Progress(clock=clock, manifests=70)
    progress.begin("read", todo=10)
    progress.manifests += 5
    clock.now += 1
    assert progress.seconds_left == 1
    assert str(progress).startswith("reading: 5 of 10 manifests")


@pytest.mark.parametrize(
    ("seconds", "text"), [(5.4, "5 s"), (89, "89 s"), (91, "2 min"), (3600, "60 min"), (7500, "2 h 5 min")]
)
def test_a_wait_tells_the_time_that_is_left(seconds: float, text: str) -> None:
    progress = Progress()
    progress.begin("wait")
    progress.left = seconds
    assert str(progress) == f"waiting for clients and servers, {text} left"
