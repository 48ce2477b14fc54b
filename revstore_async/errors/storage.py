"""The errors of storage drivers: the whole list, for every driver."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from .base import Conflict, InvalidInput, NotFound, RevstoreError, StorageFailure


@dataclass(eq=False)
class InvalidKey(InvalidInput):
    """A key outside the grammar of keys (see `revstore_async.driver.check_key`)."""

    key: str
    reason: str
    says: ClassVar[str] = "key {key!r} is not valid: {reason}"


@dataclass(eq=False)
class InvalidOffset(InvalidInput):
    """A read that starts outside the content, or a length below zero."""

    key: str
    offset: int
    size: int
    says: ClassVar[str] = "offset {offset} is outside the {size} bytes of {key!r}"


@dataclass(eq=False)
class InvalidStoreURL(InvalidInput):
    """A store URL, or an option given beside it, that no driver understands.

    Attributes:
        offered: The names that would be understood instead. The message has all of them.
    """

    url: str
    reason: str
    offered: frozenset[str] = frozenset()
    says: ClassVar[str] = "store URL {url!r} can't be opened: {reason}"

    def __str__(self) -> str:
        return super().__str__() + (f"; there are: {', '.join(sorted(self.offered))}" if self.offered else "")


@dataclass(eq=False)
class MissingExtra(RevstoreError, ImportError):
    """The optional packages of a requested part of the engine are not installed."""

    what: str
    extra: str
    says: ClassVar[str] = (
        "{what} needs packages that are not installed: pip install 'revstore-async[{extra}]'"
    )


@dataclass(eq=False)
class IncompatiblePackage(RevstoreError, ImportError):
    """An installed package lacks what a part of the engine relies on. Nothing was asked of the store."""

    what: str
    package: str
    reason: str
    says: ClassVar[str] = "{what} can't use the installed {package}: {reason}"
    advice: ClassVar[str] = "install the version that requirements.lock names"


@dataclass(eq=False)
class KeyNotFound(NotFound):
    """No object is stored under the key.

    Attributes:
        date: The store's time when it answered, as in `File.date`; None where the driver can't tell it.
    """

    key: str
    date: datetime | None = None
    says: ClassVar[str] = "nothing is stored under {key!r}"


@dataclass(eq=False)
class WriterNotFound(NotFound):
    """A writer was used after its commit or cancel, or the store has dropped its unfinished write."""

    key: str
    says: ClassVar[str] = "the unfinished write of {key!r} is gone"
    advice: ClassVar[str] = "start it again from the first byte"


@dataclass(eq=False)
class ConditionFailed(Conflict):
    """The condition of a write did not hold. Nothing was changed."""

    key: str
    condition: str
    says: ClassVar[str] = "{key!r} was not written: the condition {condition} does not hold"
    advice: ClassVar[str] = "read it again and decide anew"


@dataclass(eq=False)
class DeletionExpired(StorageFailure):
    """A deletion reached the store after its end. The store refused it, and deleted at most other keys of the call.

    Attributes:
        key: The key; the first refused one of several.
        until: The end, by the store's clock.
    """

    key: str
    until: datetime
    says: ClassVar[str] = "the deletion of {key!r} reached the storage after its end, {until}"
    advice: ClassVar[str] = "make sure that it may still be deleted, and delete it with a later end"


@dataclass(eq=False)
class ObjectTooLarge(StorageFailure):
    """An object is larger than the limit of the reader."""

    key: str
    size: int
    limit: int
    says: ClassVar[str] = "{key!r} holds {size} bytes, over the limit of {limit}"


@dataclass(eq=False)
class Unsupported(StorageFailure):
    """The driver, or the server behind it, can't do this. The engine never imitates it by check-then-act."""

    driver: str
    what: str
    says: ClassVar[str] = "the {driver} driver does not support {what}"


@dataclass(eq=False)
class Unavailable(StorageFailure):
    """The storage gave no answer, or no result; a write may have taken effect."""

    key: str
    reason: str
    retryable: ClassVar[bool] = True
    says: ClassVar[str] = "the storage did not answer for {key!r}: {reason}"


@dataclass(eq=False)
class Throttled(Unavailable):
    """The storage asks for fewer requests.

    Attributes:
        retry_after: Seconds to wait before the next try; None if the storage named no time.
    """

    retry_after: float | None = None
    says: ClassVar[str] = "the storage throttles requests for {key!r}: {reason}"


@dataclass(eq=False)
class AccessDenied(StorageFailure):
    """The storage denies access to these credentials, or to this process's user."""

    key: str
    reason: str
    says: ClassVar[str] = "access to {key!r} was denied: {reason}"
    advice: ClassVar[str] = "the store's operator must grant it"


@dataclass(eq=False)
class StorageFull(StorageFailure):
    """The storage has no room for a write: its disk is full, or a quota is reached. Nothing was written."""

    key: str
    reason: str
    says: ClassVar[str] = "the storage has no room for {key!r}: {reason}"
    advice: ClassVar[str] = "its operator must make room; deletions still work"


@dataclass(eq=False)
class DriverClosed(StorageFailure):
    """The driver is used outside its `async with` block."""

    driver: str
    says: ClassVar[str] = "the {driver} driver is not open"
    advice: ClassVar[str] = "use it inside 'async with'"
