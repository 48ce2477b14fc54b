"""The checks that all drivers share: of arguments, conditions and the options of a URL."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from revstore_async.driver import LIST_LIMIT, Condition, IfAbsent, check_prefix, without_secrets
from revstore_async.errors import (
    ConditionFailed,
    InvalidArgument,
    InvalidOffset,
    InvalidStoreURL,
    Unsupported,
)

_NAME: Final = 100  # characters of a name that a message shows


def check_listing(prefix: str, limit: int) -> str:
    """Return the common beginning of all keys below the prefix.

    Raises:
        InvalidKey: The prefix is neither a key nor empty.
        InvalidArgument: The limit is outside its range.
    """
    check_prefix(prefix)
    if not 1 <= limit <= LIST_LIMIT:
        raise InvalidArgument("limit", limit, f"a page has 1 to {LIST_LIMIT} entries")
    return prefix and prefix + "/"


def check_range(key: str, offset: int, length: int | None, size: int) -> int:
    """Return the offset at which a read of an object of that size ends.

    Raises:
        InvalidOffset: The offset is below 0 or beyond the size.
        InvalidArgument: The length is below 0.
    """
    if length is not None and length < 0:
        raise InvalidArgument("length", length, "it is below 0")
    if not 0 <= offset <= size:
        raise InvalidOffset(key, offset, size)
    return size if length is None else min(size, offset + length)


def check_read(size: int) -> None:
    """Check the argument of `Reader.read`.

    Raises:
        InvalidArgument: The size is below 1.
    """
    if size < 1:
        raise InvalidArgument("size", size, "a read asks for at least one byte")


def check_condition(key: str, condition: Condition | None, etag: str | None) -> None:
    """Check a condition against the stored version's etag; None if nothing is stored.

    Raises:
        ConditionFailed: The condition does not hold.
    """
    if condition is None:
        return
    holds = etag is None if isinstance(condition, IfAbsent) else etag == condition.etag
    if not holds:
        raise ConditionFailed(key, str(condition))


def check_until(driver: str, until: datetime | None, *, dated: bool) -> None:
    """Check the end of a deletion; `dated` tells whether the driver has `Capabilities.dated_deletion`.

    Raises:
        Unsupported: The driver lacks it.
        InvalidArgument: The end has no time zone.
    """
    if until is None:
        return
    if not dated:
        raise Unsupported(driver, "deletions that end at a time")
    if until.utcoffset() is None:
        raise InvalidArgument("until", until, "it has no time zone")


def unknown_option(shown: str, name: str, known: frozenset[str]) -> InvalidStoreURL:
    """Return the error for an option that a driver does not have.

    Args:
        shown: The name of the store in messages.
        name: The name of the option.
        known: The names of the options that the driver has.
    """
    others = "" if known else "; there are no options"
    return InvalidStoreURL(shown, f"the option {name[:_NAME]!r} is not known{others}", known)


def take_options(url: str, options: Mapping[str, object], known: frozenset[str]) -> dict[str, object]:
    """Return the URL's query and the program's options as one; the query goes first.

    Raises:
        InvalidStoreURL: An option is not known, or stands twice in the query.
    """
    query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    taken: dict[str, object] = dict(query)
    if len(taken) < len(query):
        raise InvalidStoreURL(without_secrets(url), "an option stands in it twice")
    for name, value in options.items():
        taken.setdefault(name, value)
    for name in taken:
        if name not in known:
            raise unknown_option(without_secrets(url), name, known)
    return taken
