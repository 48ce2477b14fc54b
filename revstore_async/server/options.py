"""The choices of a server's operator."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from ..errors import InvalidArgument
from .access.origins import check_origins
from .delegation import Delegation

PAGE: Final = 1000
"""Entries of one page of tags or repositories, by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """The options of a server. Times are limits for one step, never for a whole transfer.

    Attributes:
        body_timeout: How long a client may leave a request's or an answer's body standing still, before the
            server gives it up. The server also gives up a client that sends less than 4 KiB a second while the
            server waits for it. The same holds for a client that takes less than 512 KiB in this time. An
            upload waits as long for memory that others hold.
        blob_limit: Bytes of a blob at most; None for any number.
        page_limit: Entries of a page at most, also if the client asks for more.
        mount_search: Repositories to search for a layer, if a client wants a mount and names no source; 0 to
            have the layer uploaded.
        delegation: The choice of blob reads to delegate to the storage; None to answer all reads here.
        verify_blobs: Compare each blob that is pulled whole with its digest, and break off before the last
            bytes of a damaged blob. Clients compare it again; False leaves it to them, for a third of the CPU.
        retry_after: The `Retry-After` of an answer when the storage is busy and names no time itself.
        origins: The origins of web pages that may use the registry in a browser, such as `https://ui.example`; or
            `*` alone, for pages of all origins to read everything that needs no credentials. Empty to let
            in no page of another origin.
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
