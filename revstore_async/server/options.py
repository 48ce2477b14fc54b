"""What an operator may decide about a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from ..errors import InvalidArgument
from .access.origins import check_origins
from .delegation import Delegation

PAGE: Final = 1000
"""Entries of one page of tags or repositories, where the client asks for no other number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """The options of a server. Times are limits for one step, never for a whole transfer.

    Attributes:
        body_timeout: How long a client may leave a body standing still, its own or an answer's, before it is
            given up. So is one that sends less than 4 KiB a second while it is waited for, or takes less than
            512 KiB in this time. An upload waits as long for memory that others hold.
        blob_limit: Bytes of a blob at most; None for any.
        page_limit: Entries of a page at most, whatever the client asks for.
        mount_search: Repositories that are searched for a layer which a client wants mounted without saying
            from where; 0 to have it uploaded.
        delegation: Which reads of blobs are delegated to the storage; None for none.
        verify_blobs: Compare each blob that is pulled whole with its digest, and break off before its last bytes
            where it is damaged. Clients compare it again; False leaves it to them, for a third of the CPU.
        retry_after: How long a client is told to wait when the storage is busy and names no time itself.
        origins: The origins of web pages that may use the registry in a browser, such as `https://ui.example`; or
            `*` alone, for pages of all origins to read what needs no credentials. Empty for no page of another
            origin.
    """

    body_timeout: timedelta = timedelta(minutes=1)
    blob_limit: int | None = None
    page_limit: int = PAGE
    mount_search: int = 100
    delegation: Delegation | None = None
    verify_blobs: bool = True
    retry_after: timedelta = timedelta(seconds=5)
    origins: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("body_timeout", "retry_after"):
            if getattr(self, name) <= timedelta(0):
                raise InvalidArgument(name, getattr(self, name), "it is not a time to wait")
        if self.page_limit < 1:
            raise InvalidArgument("page_limit", self.page_limit, "a page holds at least one entry")
        if self.blob_limit is not None and self.blob_limit < 0:
            raise InvalidArgument("blob_limit", self.blob_limit, "it is not a number of bytes")
        if self.mount_search < 0:
            raise InvalidArgument("mount_search", self.mount_search, "it is not a number of repositories")
        check_origins(self.origins)
