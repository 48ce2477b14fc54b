"""The store under the explorer: the memory driver's, with the etags, times and abilities of a profile.

Its state is a number, by which the explorer recognises a state. So etags and times must not depend on the order of
unrelated writes. A version counts the writes of its key, and a time counts the writes of its tag.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import md5
from math import inf

from revstore_async.driver import Condition, File, FileInfo, IfMatch
from revstore_drivers.memory import MemoryStore

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_TAG = re.compile(r"/(?:_tags|tags)/([^/]+)/")


@dataclass(frozen=True, slots=True)
class Profile:
    """The ways in which stores differ.

    Attributes:
        name: Its name in seeds.
        conditional_delete: Whether one version can be deleted.
        etags_of_content: Whether the same bytes have the same etag again.
        tick: How much later each write to a tag is than the one before.
        clock: Whether the search tries all orders of writes to a tag, also to unrelated keys: their times differ.
        resolution: The finest difference of times.
        whole: Whether a deletion of many keys, and the joining of objects, are one step.
        lost_answers: How many writes of a run have their effect and are answered by an error.
        losing: The beginning of the methods whose answers may be lost.
        deaths: Whether an actor dies whose answer is lost: none of its operations has an effect after that.
        patience: Virtual seconds that may pass while operations wait; else time stands still as long as any waits.
        sleepers: Whether an actor that waits for a time goes on by that in the usual order, while the operations of
            others wait: they sleep. The first actor of a schedule is any.
        late: Seconds for which a deletion whose answer is lost may still be carried out, at any time.
    """

    name: str
    conditional_delete: bool = True
    etags_of_content: bool = False
    tick: timedelta = timedelta(microseconds=1)
    clock: bool = False
    resolution: timedelta = timedelta(microseconds=1)
    whole: bool = True
    lost_answers: int = 0
    losing: str = ""
    deaths: bool = False
    patience: float = 0.0
    sleepers: bool = False
    late: float = 0.0


MEMORY = Profile("memory")
MINIO = Profile(
    "minio",
    conditional_delete=False,
    etags_of_content=True,
    tick=timedelta(0),
    resolution=timedelta(seconds=1),
    whole=False,
    patience=0.5,
)
SECONDS = replace(MINIO, name="minio-seconds", tick=timedelta(seconds=1), clock=True)
MEMORY_LOST = replace(MEMORY, name="memory-lost", lost_answers=1)
MINIO_LOST = replace(MINIO, name="minio-lost", lost_answers=1)
MEMORY_DEATH = replace(MEMORY_LOST, name="memory-death", deaths=True)
MINIO_DEATH = replace(MINIO_LOST, name="minio-death", deaths=True)
LIVES = (MEMORY, MINIO, SECONDS, MEMORY_LOST, MINIO_LOST)
DEATHS = (MEMORY_DEATH, MINIO_DEATH)
MEMORY_RUNS = replace(MEMORY, name="memory-runs", patience=inf, sleepers=True)
MINIO_RUNS = replace(MINIO, name="minio-runs", patience=inf, sleepers=True)
LOST_RUNS = replace(MEMORY_RUNS, name="lost-runs", lost_answers=1, late=5.0)
DEATH_RUNS = replace(MINIO_RUNS, name="death-runs", lost_answers=1, deaths=True, late=5.0)
RUNS = (MEMORY_RUNS, MINIO_RUNS, LOST_RUNS, DEATH_RUNS)
PROFILES = {profile.name: profile for profile in (*LIVES, *DEATHS, *RUNS)}


class ExploredStore(MemoryStore):
    """A memory store with the etags and times of a profile, and a number for its state.

    Attributes:
        profile: What it is like.
        mark: The number of its state.
        began: Seconds since the epoch when it was made ready, by its clock.
        now: Seconds since then, besides the ticks.
    """

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self.profile = profile
        self.mark = 0
        self.began = 0.0
        self.now: Callable[[], float] = lambda: 0.0
        self._versions: dict[str, int] = {}
        self._ticks: dict[str, int] = {}

    def copy(self) -> "ExploredStore":
        """Return a store of the same content, apart from this one."""
        copied = ExploredStore(self.profile)
        copied.objects = dict(self.objects)
        copied._order = [*self._order]
        copied._versions = dict(self._versions)
        copied._ticks = dict(self._ticks)
        copied.mark, copied.began, copied.now = self.mark, self.began, self.now
        return copied

    def stores_the_same(self, key: str, content: bytes) -> bool:
        """Say whether this is content that lies under its digest: writing it again changes nothing."""
        if self.profile.sleepers:  # there, content that is written again is young
            return False
        return "/blobs/" in key and key in self.objects and self.objects[key].content == content

    def set(self, key: str, content: bytes, condition: Condition | None, now: datetime) -> FileInfo:
        """Store an object where the condition holds; its etag and time are the profile's."""
        if condition is None and self.stores_the_same(key, content):
            return self.objects[key].info
        before = self.objects.get(key)
        info = super().set(key, content, condition, now)
        etag = md5(content, usedforsecurity=False).hexdigest()
        if not self.profile.etags_of_content:
            self._versions[key] = self._versions.get(key, 0) + 1
            etag = f"v{self._versions[key]}"
        file = File(replace(info, etag=etag, modified=self._time(key)), content)
        self.objects[key] = file
        self.mark ^= hash(file) ^ (hash(before) if before else 0)
        return file.info

    def remove(self, key: str, condition: IfMatch | None = None) -> None:
        """Forget an object, if it is there."""
        before = self.objects.get(key)
        super().remove(key, condition)
        if before:
            self.mark ^= hash(before)

    def clock_of(self, key: str) -> str:
        """Return the name of the clock by which the writes of a key are timed: that of its tag, else its own."""
        found = _TAG.search(key)
        return found[1] if found else key

    def time_of_answer(self, key: str, now: datetime) -> datetime:
        """Return the time of an answer by the clock of a key's writes; it adds no tick."""
        return self._time_of(self.clock_of(key))

    def check_not_ended(self, key: str, until: datetime | None, now: datetime) -> None:  # (as above)
        """Judge the end of a deletion by the latest of all clocks, so that no answer told a later time."""
        latest = max(self._ticks, key=self._ticks.__getitem__, default="")
        super().check_not_ended(key, until, self._time_of(latest))

    def _time(self, key: str) -> datetime:
        group = self.clock_of(key)
        self._ticks[group] = self._ticks.get(group, 0) + 1
        return self._time_of(group)

    def _time_of(self, group: str) -> datetime:
        ticks = self._ticks.get(group, 0)
        time = EPOCH + timedelta(seconds=self.began + self.now()) + self.profile.tick * ticks
        return EPOCH + (time - EPOCH) // self.profile.resolution * self.profile.resolution
