"""The driver of a bucket on S3. Each method is a verb of another module of this package."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from math import ceil
from typing import Self

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

from ..arguments import check_until
from ..buckets.driver import BucketDriver, Verbs
from .client import Client
from .composing import compose
from .config import S3Options
from .deleting import delete, delete_many
from .errors import DRIVER
from .listing import list_below, list_children
from .purging import purge
from .putting import put
from .reading import get, open_reader, stat
from .settings import deletion_effects
from .writing import open_writer

_SIGNED = {"GET": "get_object", "HEAD": "head_object"}


class S3Driver(BucketDriver[S3Options, Client]):
    """A driver of a bucket. URL: `s3://bucket/prefix?endpoint_url=...`; `S3Options` holds the options.

    At most `pool` requests are under way at once, in the order in which they ask. A reader holds the slot of a
    request while bytes come. It gives the slot back at the end of the range, at the end of its block, or after a
    while without a read.
    """

    name = DRIVER
    _verbs = Verbs(get, put, stat, open_reader, open_writer, list_children, list_below, delete_many)

    def __init__(self, bucket: str, prefix: str = "", **options: object) -> None:
        """Make a driver.

        Args:
            bucket: The bucket, which exists.
            prefix: The beginning of each name, before the key; Docker Distribution's `rootdirectory`.
            **options: As in `S3Options`.

        Raises:
            InvalidStoreURL: An option is not known or wrong; the message names it.
        """
        self._be(S3Options.build(f"s3://{bucket}", bucket, prefix, options))

    @classmethod
    def from_url(cls, url: str, options: Mapping[str, object]) -> Self:
        """Build a driver from an `s3:` URL."""
        return cls.from_options(S3Options.from_url(url, options))

    @cached_property
    def capabilities(self) -> Capabilities:
        options = self.options
        return Capabilities(
            conditional_put=options.honours("conditional_put"),
            conditional_commit=options.honours("conditional_commit"),
            conditional_delete=options.honours("conditional_delete"),
            dated_deletion=options.honours("dated_deletion"),
            conditional_copy=options.honours("conditional_copy"),
            signed_urls=options.honours("signed_urls"),
            ordered_listing=options.honours("ordered_listing"),
            bulk_delete=options.honours("bulk_delete"),
            connections=options.pool,
            part_size=options.part_size,
            time_resolution=timedelta(seconds=1),
            metadata_timeout=self._limit,
        )

    async def _connect(self) -> Client:
        client = Client(self.options)
        await client.open()
        return client

    async def _disconnect(self, client: Client) -> None:
        await client.close()

    async def compose(self, sources: Sequence[Source], target: str, *, digest: str | None = None) -> FileInfo:
        check_sources(sources, target, digest)
        etags = [source.etag for source in sources]
        unsaid = digest is not None and None in etags
        if unsaid or (any(etags) and not self.options.honours("conditional_copy")):
            return await super().compose(sources, target, digest=digest)
        return await compose(self._open(), sources, target)

    async def _sign(self, key: str, method: str, expires: timedelta) -> str:
        return await self._open().sign(_SIGNED[method], key, ceil(expires.total_seconds()))

    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        check_key(key)
        check_until(self.name, until, dated=self.capabilities.dated_deletion)
        with metadata_operation(self._limit):
            await delete(self._open(), key, condition, until)

    async def deletion_effects(self) -> DeletionEffects:
        with metadata_operation(self._limit):
            return await deletion_effects(self._open())

    async def purge_writers(self, older_than: timedelta) -> int:
        return await purge(self._open(), older_than)
