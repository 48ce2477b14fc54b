"""From a store URL to a driver, by the entry points that any installed package may offer."""

import sys
from functools import lru_cache
from importlib.metadata import EntryPoints, entry_points
from os import PathLike
from pathlib import Path
from urllib.parse import urlsplit

from ..arguments import check_type
from ..errors import InvalidStoreURL
from .contract import Driver

GROUP = "revstore_async.drivers"
"""The entry point group: name = URL scheme, value = a subclass of `Driver`."""


def open_driver(url: str | PathLike[str], **options: object) -> Driver:
    """Return the driver for a store URL; it opens on entering its `async with` block.

    Args:
        url: Such as `memory:`, `file:///var/lib/registry` or `file:relative/folder`. The scheme names the
            driver, which defines the rest (see docs/drivers.md). The path of a folder, as a `Path`, stands for
            its `file:` URL.
        **options: The driver's options that the URL leaves open.

    Raises:
        InvalidStoreURL: It is no URL, no installed driver has its scheme, or the driver refuses the rest.
        MissingExtra: The driver needs packages that are not installed; the extra is named.
        IncompatiblePackage: An installed package lacks names that the driver relies on.
        WrongType: The URL is neither text nor a path.
    """
    if isinstance(url, PathLike):
        url = Path(url).absolute().as_uri()
    check_type("url", url, str, PathLike)
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise InvalidStoreURL(f"{url[:8]}...", str(error)) from error
    if not scheme:
        raise InvalidStoreURL(
            without_secrets(url), "it has no scheme; a folder is written file:///the/folder"
        )
    found = _offered(tuple(sys.path))
    if scheme not in found.names:  # unless it was installed meanwhile
        _offered.cache_clear()
        found = _offered(tuple(sys.path))
    if scheme not in found.names:
        raise InvalidStoreURL(
            without_secrets(url), "no installed driver has this scheme", frozenset(found.names)
        )
    driver: type[Driver] = found[scheme].load()
    return driver.from_url(url, options)


@lru_cache(maxsize=1)
def _offered(_path: tuple[str, ...]) -> EntryPoints:
    """Return the drivers of the installed packages; to read their metadata takes some milliseconds."""
    return entry_points(group=GROUP)


def without_secrets(url: str) -> str:
    """Return the URL as it may be shown: without user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    location = f"//{host}{parts.path}" if host or parts.path.startswith("/") else parts.path
    scheme = f"{parts.scheme}:" if parts.scheme else ""
    return scheme + location + ("?..." if parts.query else "")
