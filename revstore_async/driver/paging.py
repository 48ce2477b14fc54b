"""A whole listing, page by page."""

from collections.abc import AsyncIterator
from typing import Protocol, TypeVar

from .contract import LIST_LIMIT
from .values import Page

Entry_co = TypeVar("Entry_co", covariant=True)


class _Listing(Protocol[Entry_co]):
    async def __call__(
        self, prefix: str = ..., *, start_after: str | None = ..., limit: int = ...
    ) -> Page[Entry_co]: ...


async def entries(
    listing: _Listing[Entry_co], prefix: str = "", *, start_after: str | None = None
) -> AsyncIterator[Entry_co]:
    """Yield each entry of a driver's `list` or `list_all`; one request for each 1,000 entries.

    Args:
        listing: The bound method, such as `driver.list_all`.
        prefix: As the method takes it.
        start_after: As the method takes it.
    """
    after = start_after
    while True:
        page = await listing(prefix, start_after=after, limit=LIST_LIMIT)
        for entry in page.entries:
            yield entry
        if page.next is None:
            return
        after = page.next
