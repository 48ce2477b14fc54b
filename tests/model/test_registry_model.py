"""A registry against a model of it in a few dicts: any sequence of operations, on each store."""

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from revstore_async import ABSENT, Digest, Driver, Registry, sign
from revstore_async.errors import ManifestUnknown, TagChanged, TagUnknown
from revstore_drivers.filesystem import FilesystemDriver
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.s3 import S3Driver
from tests.parts.documents import key, schema1
from tests.parts.minio import MinIO

PAYLOADS = [schema1(Digest.of(b"layer"), number=number) for number in range(4)]
SIGNATURES = [[sign(payload, key(host)) for host in range(3)] for payload in PAYLOADS]
DIGESTS = [Digest.of(payload) for payload in PAYLOADS]
REVISIONS = st.integers(0, len(PAYLOADS) - 1)
HOSTS = st.sets(st.integers(0, 2))
TAGS = st.sampled_from(["latest", "v1", "v1-rc", "v1.0"])


class RegistryMachine(RuleBasedStateMachine):
    """Subclasses say on which store."""

    def open(self) -> Driver:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.driver = self.open()
        self.runner.run(self.driver.__aenter__())
        self.repository = Registry(self.driver).repository("library/hello")
        self.revisions: dict[int, set[int]] = {}
        self.tags: dict[str, int] = {}
        self.history: dict[str, list[int | None]] = {}

    def teardown(self) -> None:
        self.runner.run(self.driver.__aexit__(None, None, None))
        self.runner.close()

    def moved(self, tag: str, revision: int | None) -> None:
        if self.tags.get(tag) != revision:
            self.history.setdefault(tag, []).append(revision)
        if revision is None:
            del self.tags[tag]
        else:
            self.tags[tag] = revision

    @rule(revision=REVISIONS, hosts=HOSTS)
    def put(self, revision: int, hosts: set[int]) -> None:
        signatures = [SIGNATURES[revision][host] for host in hosts]
        self.runner.run(self.repository.revisions.put(PAYLOADS[revision], signatures))
        self.revisions.setdefault(revision, set()).update(hosts)

    @precondition(lambda self: self.revisions)
    @rule(tag=TAGS, data=st.data())
    def set_tag(self, tag: str, data: st.DataObject) -> None:
        revision = data.draw(st.sampled_from(sorted(self.revisions)))
        self.runner.run(self.repository.tags.set(tag, DIGESTS[revision]))
        self.moved(tag, revision)

    @rule(tag=TAGS, revision=REVISIONS, expected=st.none() | REVISIONS)
    def swap(self, tag: str, revision: int, expected: int | None) -> None:
        change = self.repository.tags.set(
            tag, DIGESTS[revision], expected=ABSENT if expected is None else DIGESTS[expected]
        )
        if revision not in self.revisions:
            with pytest.raises(ManifestUnknown):
                self.runner.run(change)
        elif self.tags.get(tag) != expected:
            with pytest.raises(TagChanged):
                self.runner.run(change)
        else:
            self.runner.run(change)
            self.moved(tag, revision)

    @rule(tag=TAGS)
    def delete_tag(self, tag: str) -> None:
        if tag in self.tags:
            self.runner.run(self.repository.tags.delete(tag))
            self.moved(tag, None)
        else:
            with pytest.raises(TagUnknown):
                self.runner.run(self.repository.tags.delete(tag))

    @rule(revision=REVISIONS)
    def delete(self, revision: int) -> None:
        if revision not in self.revisions:
            with pytest.raises(ManifestUnknown):
                self.runner.run(self.repository.manifests.delete(DIGESTS[revision]))
            return
        self.runner.run(self.repository.manifests.delete(DIGESTS[revision]))
        del self.revisions[revision]
        for tag in [tag for tag, points_at in self.tags.items() if points_at == revision]:
            self.moved(tag, None)

    @precondition(lambda self: self.tags)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        tag = data.draw(st.sampled_from(sorted(self.tags)))
        events = self.runner.run(self.repository.tags.history(tag))
        since = data.draw(st.sampled_from([event.since for event in events]))
        # Of several entries of one second, the last one counts.
        revision = self.history[tag][max(n for n, event in enumerate(events) if event.since == since)]
        work = self.repository.tags.restore(tag, since)
        if revision is None:
            with pytest.raises(TagUnknown):
                self.runner.run(work)
        elif revision not in self.revisions:
            with pytest.raises(ManifestUnknown):
                self.runner.run(work)
        else:
            self.runner.run(work)
            self.moved(tag, revision)

    @invariant()
    def everything_is_as_in_the_model(self) -> None:
        self.runner.run(self._compare())

    async def _compare(self) -> None:
        tags = [info.tag async for info in self.repository.tags]
        assert tags == sorted(self.tags)
        for tag, revision in self.tags.items():
            assert await self.repository.tags.resolve(tag) == DIGESTS[revision]
        for tag, revisions in self.history.items():
            events = await self.repository.tags.history(tag)
            assert [event.digest for event in events] == [
                None if revision is None else DIGESTS[revision] for revision in revisions
            ]
        found = {info.digest async for info in self.repository.revisions.enumerate()}
        assert found == {DIGESTS[revision] for revision in self.revisions}
        for revision, hosts in self.revisions.items():
            stored = await self.repository.revisions.get(DIGESTS[revision])
            assert stored.payload == PAYLOADS[revision]
            assert set(stored.signatures) == {SIGNATURES[revision][host] for host in hosts}


class OnMemory(RegistryMachine):
    def open(self) -> Driver:
        return MemoryDriver()


class OnAClockOfWholeSeconds(RegistryMachine):
    """As on S3: many changes within one second."""

    def open(self) -> Driver:
        start, calls = datetime(2026, 1, 1, tzinfo=UTC), iter(range(10**9))
        return MemoryDriver(clock=lambda: start + timedelta(seconds=next(calls) // 25))


class OnFiles(RegistryMachine):
    def open(self) -> Driver:
        self.folder = tempfile.TemporaryDirectory()
        return FilesystemDriver(Path(self.folder.name))

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


class OnMinIO(RegistryMachine):
    server: MinIO

    def open(self) -> Driver:
        return S3Driver(self.server.new_bucket(), **self.server.options())


@pytest.fixture(scope="module")
def on_minio(minio: MinIO) -> type[OnMinIO]:
    OnMinIO.server = minio
    return OnMinIO


def test_any_operations_on_minio(on_minio: type[OnMinIO]) -> None:
    run_state_machine_as_test(on_minio, settings=settings(QUICK, max_examples=8))


QUICK = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestOnMemory = OnMemory.TestCase
TestOnMemory.settings = QUICK
TestOnAClockOfWholeSeconds = OnAClockOfWholeSeconds.TestCase
TestOnAClockOfWholeSeconds.settings = QUICK
TestOnFiles = OnFiles.TestCase
TestOnFiles.settings = settings(QUICK, max_examples=10)
