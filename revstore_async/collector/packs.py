"""Packs: the store keeps the references of manifests that were read, so that the next survey reads new ones only.

The references of a manifest never change, nor does the content of a version of a link. A pack is named by the
version of the reader and by the digest of its bytes. Two surveys at once do not disturb each other. A survey
ignores a damaged pack, and deletes it. A fact of a pack counts only for a manifest of that size that the survey
found, or for a link of that ETag. A survey without packs only costs more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from ..concurrency import in_thread
from ..driver import Driver, FileInfo, entries
from ..errors import AccessDenied, KeyNotFound, ObjectTooLarge, StorageFailure
from ..formats.digest import Digest
from ..layout import Layout, ReferencePack
from .pack_format import (
    FACTS,
    PACK_LIMIT,
    Fact,
    LinkFact,
    ManifestFact,
    PackWriter,
    read_pack,
    version_of_link,
)
from .references import READER, References
from .survey import NEW, Survey

_MOVING: Final = -1
"""The number of facts that a new pack is to take."""

_SCHEMA: Final = "CREATE TABLE version (name TEXT PRIMARY KEY, object INTEGER NOT NULL) WITHOUT ROWID"
_FACTS: Final = """
SELECT f.name, f.size, f.target, r.child, r.is_subject
FROM (SELECT * FROM fact WHERE pack = ? AND name > ? ORDER BY name LIMIT ?) f
LEFT JOIN reference r ON r.parent = f.name AND r.child != f.name ORDER BY f.name
"""


@dataclass(slots=True)
class _Pack:
    """A pack of the store.

    Attributes:
        key: Its key.
        facts: The number of its facts; of one that can't be used, 0.
        used: The number of its facts that the survey uses.
    """

    key: str
    facts: int = 0
    used: int = 0


@dataclass(slots=True)
class Packs:
    """The packs of a store, as a survey uses and writes them.

    Attributes:
        survey: The survey.
        driver: The storage.
        layout: The layout of the store.
    """

    survey: Survey
    driver: Driver
    layout: Layout
    _found: dict[int, _Pack] = field(default_factory=dict)
    _refused: bool = False  # the store takes no pack

    async def use(self) -> None:
        """Take the facts of the packs into the survey. 1 request for each pack, and 1 for the listing of them."""
        await in_thread(self._name_versions)
        async for info in entries(self.driver.list_all, self.layout.packs):
            stored = self.layout.parse(info.key)
            if isinstance(stored, ReferencePack) and stored.reader <= READER:
                number = len(self._found) + 1
                self._found[number] = _Pack(info.key)
                if stored.reader == READER and (content := await self._content(info, stored.digest)):
                    await in_thread(self._take, number, content)

    async def write(self) -> None:
        """Write packs of the new facts. 1 request for each 10,000; the survey goes on if the store takes none."""
        await self._write(NEW)

    async def merge(self) -> None:
        """Write packs of the new facts, and of the facts in small packs and in packs of which little is used.

        1 request for each 10,000 facts, and 1 that deletes the packs that are not needed any more.
        """
        left = await in_thread(self._set_aside)
        written = await self._write(_MOVING)
        if not self._refused and (left := left - written):
            try:
                await self.driver.delete_many(sorted(left))
            except StorageFailure:
                self._refused = True

    # ---- reading

    def _name_versions(self) -> None:
        db = self.survey.db
        db.execute(_SCHEMA)
        for tags in self.survey.unread_tags():
            rows = [(version_of_link(tag.key, tag.etag), tag.row) for tag in tags]
            db.executemany("INSERT OR IGNORE INTO version VALUES (?, ?)", rows)

    async def _content(self, info: FileInfo, digest: Digest) -> bytes | None:
        """Return the content of a pack; None if it is damaged or gone."""
        try:
            content = (await self.driver.get(info.key, limit=PACK_LIMIT)).content
        except (KeyNotFound, ObjectTooLarge, AccessDenied):
            return None
        return content if await in_thread(Digest.of, content) == digest else None

    def _take(self, number: int, content: bytes) -> None:
        """Take the facts of a pack. A pack with one fact that can't be read is not used at all."""
        facts = used = 0
        try:
            with self.survey.together():
                for fact in read_pack(content):
                    facts += 1
                    used += self._take_fact(fact, number)
        except ValueError:
            return
        self._found[number].facts, self._found[number].used = facts, used

    def _take_fact(self, fact: Fact, number: int) -> bool:
        """Take a fact, if the survey needs it; return whether it does."""
        db = self.survey.db
        match fact:
            case ManifestFact(digest, references):
                values = (digest, references.size)
                if not db.execute("DELETE FROM unread WHERE digest = ? AND size = ?", values).rowcount:
                    return False
                self.survey.add_references(digest, references, pack=number)
            case LinkFact(version, target):
                row = db.execute("SELECT object FROM version WHERE name = ?", (version,)).fetchone()
                update = "UPDATE object SET digest = ? WHERE rowid = ? AND digest IS NULL"
                if row is None or not db.execute(update, (target, *row)).rowcount:
                    return False
                db.execute("INSERT INTO fact VALUES (?, ?, NULL, ?)", (number, version, target))
        return True

    # ---- writing

    def _set_aside(self) -> set[str]:
        """Set the facts aside that new packs are to take; return the keys of the packs that have them now."""
        db, left = self.survey.db, set[str]()
        with self.survey.together():
            moved = db.execute("UPDATE OR REPLACE fact SET pack = ? WHERE pack = ?", (_MOVING, NEW)).rowcount
            for number, pack in sorted(self._found.items(), key=lambda each: each[1].used):
                # A pack is taken with more facts than it has: so each fact is written few times.
                is_small = pack.used <= 2 * moved and pack.used < FACTS // 2
                if is_small or 2 * pack.used < pack.facts or not pack.used:
                    moved += pack.used
                    db.execute("UPDATE OR REPLACE fact SET pack = ? WHERE pack = ?", (_MOVING, number))
                    left.add(self._found.pop(number).key)
        return left

    async def _write(self, source: int) -> set[str]:
        """Write packs of facts; return their keys."""
        written = set[str]()
        while not self._refused:
            content, last, facts = await in_thread(self._pack, source)
            if not facts:
                break
            key = self.layout.key(ReferencePack(READER, await in_thread(Digest.of, content)))
            try:
                await self.driver.put(key, content)
            except StorageFailure:
                self._refused = True
                break
            written.add(key)
            number = max(self._found, default=0) + 1
            self._found[number] = _Pack(key, facts, facts)
            await in_thread(self._note_written, source, last, number)
        return written

    def _pack(self, source: int) -> tuple[bytes, str, int]:
        """Return the content of a pack, the name of its last fact, and the number of its facts."""
        writer, last = PackWriter(), ""
        for fact in self._facts(source):
            writer.add(fact)
            last = fact.digest if isinstance(fact, ManifestFact) else fact.version
            if writer.is_full:
                break
        return writer.finish(), last, writer.facts

    def _facts(self, source: int) -> Iterator[Fact]:
        rows = self.survey.db.execute(_FACTS, (source, "", FACTS))
        for (name, size, target), group in groupby(rows, key=lambda row: row[:3]):
            if target is not None:
                yield LinkFact(name, Digest(target))
                continue
            children = [(Digest(child), is_subject) for *_, child, is_subject in group if child is not None]
            subject = next((child for child, is_subject in children if is_subject), None)
            yield ManifestFact(
                Digest(name), References(frozenset(child for child, _ in children), subject, size)
            )

    def _note_written(self, source: int, last: str, number: int) -> None:
        self.survey.db.execute(
            "UPDATE OR REPLACE fact SET pack = ? WHERE pack = ? AND name <= ?", (number, source, last)
        )
