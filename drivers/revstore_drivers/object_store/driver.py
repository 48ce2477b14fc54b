"""The driver of a bucket on obstore. Each method is a verb of another module of this package."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, Literal, Self

import obstore

from revstore_async.driver import (
    Capabilities,
    DeletionEffects,
    FileInfo,
    IfMatch,
    Source,
    check_key,
    check_sources,
)
from revstore_async.driver.deadline import metadata_operation
from revstore_async.errors import Unsupported

from ..arguments import check_until
from ..buckets.driver import BucketDriver, Verbs
from .changing import copy, delete, delete_many
from .client import Client
from .config import S3, ObjectStoreOptions
from .errors import translated
from .listing import list_below, list_children
from .putting import put
from .reading import get, open_reader, stat
from .writing import open_writer

_SIGNED: Final[dict[str, Literal["GET", "HEAD"]]] = {"GET": "GET", "HEAD": "HEAD"}


class ObjectStoreDriver(BucketDriver[ObjectStoreOptions, Client]):
    """A driver of a bucket. URL: `obstore+s3://`, `gs://`, `az://`; `ObjectStoreOptions` holds the options.

    At most `pool` requests are under way at once, in the order in which they ask; the parts of writers do not
    count. A reader holds the slot of a request while bytes come. It gives the slot back at the end of the range, at
    the end of its block, or after a while without a read.
    """

    _verbs = Verbs(get, put, stat, open_reader, open_writer, list_children, list_below, delete_many)

    def __init__(self, url: str, **options: object) -> None:
        """Make a driver.

        Args:
            url: The store's URL.
            **options: Options that the URL leaves open, as in `ObjectStoreOptions`.

        Raises:
            InvalidStoreURL: The URL or an option is not understood; the message names it.
        """
        self._be(ObjectStoreOptions.from_url(url, options))

    def _be(self, options: ObjectStoreOptions) -> None:
        super()._be(options)
        self.name: str = options.scheme

    @classmethod
    def from_url(cls, url: str, options: Mapping[str, object]) -> Self:
        """Build a driver from a URL of one of its schemes."""
        return cls.from_options(ObjectStoreOptions.from_url(url, options))

    @cached_property
    def capabilities(self) -> Capabilities:
        options = self.options
        return Capabilities(
            conditional_put=options.conditional_put,
            conditional_commit=False,
            conditional_delete=False,
            dated_deletion=False,
            signed_urls=options.signed_urls,
            ordered_listing=True,
            bulk_delete=options.scheme == S3 and options.bulk_delete,
            connections=options.pool,
            part_size=options.part_size,
            time_resolution=timedelta(seconds=1),
            metadata_timeout=self._limit,
        )

    async def _connect(self) -> Client:
        # obstore reads certificates, which takes some 15 ms for each of its stores.
        return await asyncio.to_thread(Client, self.options)

    async def _disconnect(self, client: Client) -> None:
        client.close()

    async def compose(self, sources: Sequence[Source], target: str, *, digest: str | None = None) -> FileInfo:
        check_sources(sources, target, digest)
        # obstore's copy takes no condition, so bytes that are to be compared pass through here.
        if len(sources) == 1 and digest is None and sources[0].etag is None:
            return await copy(self._open(), sources[0].key, target)
        return await super().compose(sources, target, digest=digest)

    async def _sign(self, key: str, method: str, expires: timedelta) -> str:
        signer = self._open().signer
        with translated(key, self.options.shown, self.name):
            return await obstore.sign_async(signer, _SIGNED[method], key, expires)

    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        check_key(key)
        check_until(self.name, until, dated=False)
        client = self._open()
        if condition is not None:
            raise Unsupported(self.name, "conditional deletion")
        with metadata_operation(self._limit):
            await delete(client, key)

    async def deletion_effects(self) -> DeletionEffects:
        raise Unsupported(self.name, "reading the settings of a bucket")

    async def purge_writers(self, older_than: timedelta) -> int:  # noqa: ARG002 (there is nothing to list)
        """Remove nothing: obstore lists no unfinished uploads. The bucket's lifecycle rules must abort those."""
        self._open()
        return 0
