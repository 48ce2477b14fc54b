"""The numbers of a tag's changes: a writer claims one, records its change under it, and may take that back.

A claim is an object that is written only if there is none. Its content is the key of the writer's record, and a
nonce. If several records lie under a number, the one that the claim names counts. The nonce differs even for equal
records: a writer that got no answer to its claim knows its own claim by it. A writer that gives its number back
empties the claim.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from secrets import token_hex

from ..concurrency import gather, gather_map
from ..driver import Driver, IfAbsent, entries
from ..errors import ConditionFailed, KeyNotFound, RevstoreError, StorageFailure, StorageFull
from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from ..layout import Layout, TagClaim, TagCreated, TagDeleted, TagReplaced
from .records import TagRecord, TagRecords, read_records
from .state import ChangeRecord, Claim, TagState


class TagClaims:
    """The claims and records of the tags of one repository."""

    def __init__(self, name: RepositoryName, driver: Driver, layout: Layout) -> None:
        self._name = name
        self._driver = driver
        self._layout = layout

    # ---- reading

    async def recent(self, tag: Tag, limit: int) -> TagRecords:
        """Return the latest records of a tag, from `limit` keys. 1 request; an unsorted store lists all."""
        folder = self._layout.history_of(self._name, tag)
        if self._driver.capabilities.ordered_listing:
            listed = (await self._driver.list_all(folder, limit=limit)).entries
        else:
            found = [info async for info in entries(self._driver.list_all, folder)]
            listed = tuple(sorted(found, key=lambda info: info.key)[:limit])
        return read_records(self._layout, listed)

    async def settled(self, tag: Tag, records: TagRecords) -> Sequence[TagRecord]:
        """Return the records that count. 1 request for each number under which several writers left a record."""
        contested = records.contested()
        return records.settled(dict(zip(contested, await self.winners(tag, contested), strict=True)))

    async def winners(self, tag: Tag, numbers: Sequence[int]) -> Sequence[object]:
        """Return the record that the claim of each number names, written or not, or None if it is given back.

        1 request each, 1 round trip.
        """

        async def winner(number: int) -> object:
            try:
                claim = await self._driver.get(self._layout.key(TagClaim(self._name, tag, number)))
            except KeyNotFound:
                return None
            # Engines before this one wrote no nonce.
            return self._layout.parse(claim.content.decode("utf-8", "replace").partition(" ")[0])

        return await gather_map(winner, numbers, limit=self._driver.capabilities.connections)

    async def store_time(self, state: TagState) -> datetime:
        """Return the present by the store's clock: the time of a claim that no record follows.

        1 request; 2 where another writer claims the same number.
        """
        claim = TagClaim(self._name, state.tag, state.recent.next)
        try:
            return (await self._driver.put(self._layout.key(claim), b"", condition=IfAbsent())).modified
        except ConditionFailed:
            return (await self._driver.stat(self._layout.key(claim))).modified

    # ---- writing

    def record(self, state: TagState, successor: Digest | None) -> ChangeRecord | None:
        """Return the record of a change from a state to a new revision, or to no tag.

        None if there is nothing to record: no tag is to be deleted, or its link is damaged.

        Args:
            state: The tag as the writer saw it.
            successor: The revision that the tag is to get; None for a deletion.
        """
        if state.link.damage:
            return None
        claims = self._driver.capabilities.conditional_put
        number = state.recent.next
        if not claims and state.recent.records and state.recent.records[-1].seen == state.current:
            number -= 1  # without claims, writers that saw the same tag write about the same change
        about = (self._name, state.tag, number)
        seen = state.current
        if seen is None or seen.digest is None:
            return None if successor is None else TagCreated(*about, successor, flat=not claims)
        if successor is None:
            return TagDeleted(*about, seen.since, seen.digest, flat=not claims)
        return TagReplaced(*about, seen.since, seen.digest, successor, flat=not claims)

    async def claim(self, record: ChangeRecord) -> Claim:
        """Claim the number of a change and leave its record. 2 requests, 1 round trip.

        If the storage fails, the writer takes back its record, unless another writer has the same one.

        Raises:
            ConditionFailed: Another writer has the number.
        """
        since = asyncio.get_running_loop().time()
        key = self._layout.key(record)
        if record.flat:
            return Claim(record, (await self._driver.put(key, b"")).modified, since)
        claim = self._layout.key(TagClaim(record.name, record.tag, record.sequence))
        content = f"{key} {token_hex(8)}".encode()
        try:
            _, info = await gather(
                self._driver.put(key, b""), self._driver.put(claim, content, condition=IfAbsent())
            )
        except StorageFull:
            raise  # nothing was written
        except StorageFailure:
            with suppress(RevstoreError):
                if (await self._driver.get(claim)).content == content:
                    await self.take_back(record)
            raise
        return Claim(record, info.modified, since)

    async def give_way(self, record: ChangeRecord | None) -> None:
        """Take back a writer's record, after another writer claimed its number. 2 requests, 2 round trips.

        Writers that are to do the same leave the same record, which stays with the claim.
        """
        if record is None:
            return
        key = self._layout.key(record)
        with suppress(KeyNotFound):
            claim = await self._driver.get(
                self._layout.key(TagClaim(record.name, record.tag, record.sequence))
            )
            if claim.content.partition(b" ")[0] != key.encode():
                await self._driver.delete(key)

    async def take_back(self, record: ChangeRecord) -> None:
        """Take back the record of a change that does not take place, and give back its number.

        2 requests, 1 round trip. The claim stays, without content, so that the numbers stay dense.
        """
        deletion = self._driver.delete(self._layout.key(record))
        if record.flat:
            await deletion
            return
        claim = self._layout.key(TagClaim(record.name, record.tag, record.sequence))
        await gather(deletion, self._give_back(claim))

    async def _give_back(self, claim: str) -> None:
        await self._driver.put(claim, b"")
