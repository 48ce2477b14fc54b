"""A driver against a dict: after any steps in any order both hold the same.

class Machine(DriverStateMachine):
    def make_driver(self):
        return MyDriver(...)

TestMyDriver = Machine.TestCase
"""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from revstore_async.driver import Condition, Driver, FileInfo, IfAbsent, IfMatch, Source
from revstore_async.errors import ConditionFailed, InvalidKey, InvalidOffset, KeyNotFound

from .conformance.base import agree, children, content_of, position_of, read_all, walk
from .strategies import contents, keys, positions, prefixes

Result = TypeVar("Result")

# A few keys, so that steps meet, with characters around "/" in the order of bytes; other tests draw any keys.
_FEW = st.sampled_from(
    [
        "a",
        "a/b",
        "a/b/c",
        "a/b-c",
        "a/b.c/d",
        "a/c",
        "a-b",
        "a-b/c",
        "a.b",
        "a0",
        "ab/c/d/e",
        "ab/c/d/f",
        "b",
        "b/a",
    ]
)
_KEYS = st.one_of(_FEW, _FEW, keys())
_PREFIXES = st.one_of(st.sampled_from(["", "a", "a/b", "ab", "ab/c", "b", "a-b"]), prefixes())
_POSITIONS = st.one_of(_FEW, _FEW.map(lambda key: key + "/"), positions())


class DriverStateMachine(RuleBasedStateMachine):
    """The state machine. A subclass gives the driver, and cleans up in `teardown`, after this class's own."""

    def __init__(self) -> None:
        super().__init__()
        self.runner: asyncio.Runner = asyncio.Runner()
        self.driver: Driver = self.make_driver()
        self.run(self.driver.__aenter__())
        self.model: dict[str, bytes] = {}
        self.infos: dict[str, FileInfo] = {}
        self.unseen: set[str] = set()  # keys whose info only a write has told so far
        self.etags: dict[str, dict[str, bytes]] = {}  # the content of each etag, by key

    def make_driver(self) -> Driver:
        """Return a driver, not yet open, on an empty store."""
        raise NotImplementedError

    def reopen(self, driver: Driver) -> Driver | None:  # noqa: ARG002 (for overriding)
        """Return another driver, not yet open, on the same store; None if that is impossible."""
        return None

    def teardown(self) -> None:
        """Close the driver."""
        self.run(self.driver.__aexit__(None, None, None))
        self.runner.close()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end, on the machine's loop."""
        return self.runner.run(coroutine)

    # ---- writing

    def _write(self, key: str, content: bytes, write: Coroutine[Any, Any, FileInfo]) -> None:
        try:
            info = self.run(write)
        except InvalidKey:
            assert self._folder_conflict(key), f"{key!r} was refused, though no other key is in its way"
            return
        assert (info.key, info.size) == (key, len(content))
        known = self.etags.setdefault(key, {})
        assert known.setdefault(info.etag, content) == content, "an etag came again with other content"
        self.model[key] = content
        self.infos[key] = info
        self.unseen.add(key)

    def _folder_conflict(self, key: str) -> bool:
        return any(other.startswith(key + "/") or key.startswith(other + "/") for other in self.model)

    def _condition(self, key: str, kind: str) -> tuple[Condition | None, bool]:
        """Return a condition, and whether it must hold."""
        there = self.infos.get(key)
        match kind:
            case "absent":
                return IfAbsent(), there is None
            case "match":
                return IfMatch(there.etag if there else "none"), there is not None
            case "stale":
                stale = [etag for etag in self.etags.get(key, {}) if not there or etag != there.etag]
                return IfMatch(stale[-1] if stale else "none"), False
        return None, True

    @rule(key=_KEYS, content=contents(), kind=st.sampled_from(["", "", "absent", "match", "stale"]))
    def put(self, key: str, content: bytes, kind: str) -> None:
        """Put, with a condition or without."""
        honoured = self.driver.capabilities.conditional_put
        condition, holds = self._condition(key, kind if honoured else "")
        if holds:
            self._write(key, content, self.driver.put(key, content, condition=condition))
            return
        try:
            self.run(self.driver.put(key, content, condition=condition))
        except (ConditionFailed, InvalidKey) as error:
            assert isinstance(error, ConditionFailed) or self._folder_conflict(key)
        else:
            raise AssertionError(f"{condition} was held to hold")

    @rule(
        key=_KEYS,
        pieces=st.lists(contents(), max_size=3),
        kind=st.sampled_from(["", "absent", "match", "stale"]),
    )
    def write(self, key: str, pieces: list[bytes], kind: str) -> None:
        """Write by pieces, and commit."""
        honoured = self.driver.capabilities.conditional_commit
        condition, holds = self._condition(key, kind if honoured else "")

        async def commit() -> FileInfo:
            async with self.driver.open_writer(key) as writer:
                for piece in pieces:
                    await writer.write(piece)
                return await writer.commit(condition=condition)

        if holds:
            self._write(key, b"".join(pieces), commit())
            return
        try:
            self.run(commit())
        except (ConditionFailed, InvalidKey) as error:
            assert isinstance(error, ConditionFailed) or self._folder_conflict(key)
        else:
            raise AssertionError(f"{condition} was held to hold")

    @rule(key=_KEYS, content=contents())
    def abandon(self, key: str, content: bytes) -> None:
        """Write, and leave the block without a commit."""

        async def leave() -> None:
            async with self.driver.open_writer(key) as writer:
                await writer.write(content)

        try:
            self.run(leave())
        except InvalidKey:
            assert self._folder_conflict(key)

    @rule(source=_KEYS, to=_KEYS)
    def copy(self, source: str, to: str) -> None:
        """Copy; most of the time there is nothing to copy."""
        self._copy(source, to)

    @precondition(lambda self: bool(self.model))
    @rule(data=st.data(), to=_KEYS)
    def copy_something(self, data: st.DataObject, to: str) -> None:
        """Copy an object."""
        self._copy(data.draw(st.sampled_from(sorted(self.model))), to)

    def _copy(self, source: str, target: str) -> None:
        if source == target:
            return
        if source in self.model:
            content = self.model[source]
            self._write(target, content, self.driver.compose([Source(source, len(content))], target))
            return
        try:
            self.run(self.driver.compose([Source(source, 1)], target))
        except KeyNotFound as error:
            assert error.key == source
        except InvalidKey:
            assert self._folder_conflict(target)
        else:
            raise AssertionError("what is not there was copied")

    # ---- deletion

    def _forget(self, *gone: str) -> None:
        for key in gone:
            self.model.pop(key, None)
            self.infos.pop(key, None)

    @rule(key=_KEYS)
    def delete(self, key: str) -> None:
        """Delete one; most of the time there is none."""
        self.run(self.driver.delete(key))
        self._forget(key)

    @precondition(lambda self: self.driver.capabilities.conditional_delete)
    @rule(key=_KEYS, kind=st.sampled_from(["match", "stale"]))
    def delete_version(self, key: str, kind: str) -> None:
        """Delete one version; another one, or none, stays as it is."""
        condition, holds = self._condition(key, kind)
        assert isinstance(condition, IfMatch)
        try:
            self.run(self.driver.delete(key, condition=condition))
        except ConditionFailed:
            assert not holds, f"{condition} was held not to hold"
        else:
            assert holds, f"{condition} was held to hold"
            self._forget(key)

    @precondition(lambda self: bool(self.model))
    @rule(data=st.data(), others=st.lists(_KEYS, max_size=2))
    def delete_many(self, data: st.DataObject, others: list[str]) -> None:
        """Delete some that are there, and some that are not."""
        gone = data.draw(st.lists(st.sampled_from(sorted(self.model)), max_size=3)) + others
        self.run(self.driver.delete_many(gone))
        self._forget(*gone)

    @rule(prefix=_FEW)
    def delete_prefix(self, prefix: str) -> None:
        """Delete all below a prefix."""
        self.run(self.driver.delete_prefix(prefix))
        self._forget(*[key for key in self.model if key.startswith(prefix + "/")])

    # ---- reading

    @rule(key=_KEYS)
    def get(self, key: str) -> None:
        """Read; most of the time there is nothing to read."""
        assert self.run(content_of(self.driver, key)) == self.model.get(key)

    @precondition(lambda self: bool(self.model))
    @rule(data=st.data(), offset=st.integers(-1, 45), length=st.none() | st.integers(0, 50))
    def read(self, data: st.DataObject, offset: int, length: int | None) -> None:
        """Read a range."""
        key = data.draw(st.sampled_from(sorted(self.model)))
        content = self.model[key]
        try:
            found = self.run(read_all(self.driver, key, offset=offset, length=length))
        except InvalidOffset:
            assert not 0 <= offset <= len(content)
            return
        assert 0 <= offset <= len(content)
        assert found == content[offset : None if length is None else offset + length]
        assert self.run(self.driver.get(key)).content == content

    @rule(prefix=_PREFIXES, start_after=st.none() | _POSITIONS, limit=st.sampled_from([1, 2, 1000]))
    def list_pages(self, prefix: str, start_after: str | None, limit: int) -> None:
        """List, by pages, from anywhere on."""
        begin = prefix and prefix + "/"
        below = sorted(key for key in self.model if key.startswith(begin))
        after = "" if start_after is None else start_after
        found = self.run(walk(self.driver, prefix, start_after=start_after, limit=limit))
        assert found == [self.infos[key] for key in below if key > after]
        direct = {begin + "".join(key.removeprefix(begin).partition("/")[:2]) for key in below}
        entries = self.run(children(self.driver, prefix, start_after=start_after, limit=limit))
        assert [position_of(entry) for entry in entries] == sorted(name for name in direct if name > after)

    @rule()
    def purge(self) -> None:
        """Purge old leftovers: there are none yet."""
        assert self.run(self.driver.purge_writers(timedelta(hours=1))) == 0

    @rule()
    def close_and_open(self) -> None:
        """Go on with another driver on the same store: stored objects stay."""
        other = self.reopen(self.driver)
        if other is not None:
            self.run(self.driver.__aexit__(None, None, None))
            self.driver = other
            self.run(self.driver.__aenter__())

    @invariant()
    def all_is_there(self) -> None:
        """The store and the model hold the same, and unwritten objects have not changed."""
        if hasattr(self, "infos"):
            found = {info.key: info for info in self.run(walk(self.driver))}
            assert [*found] == sorted(self.infos)
            for key, info in self.infos.items():
                known = key not in self.unseen
                assert found[key] == info if known else agree(self.driver, info, found[key])
            self.infos = found
            self.unseen.clear()
