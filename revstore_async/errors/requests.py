"""Errors of a request to a server, and of its connection."""

from dataclasses import dataclass
from typing import ClassVar

from .base import Conflict, InvalidInput, NotFound, Overloaded, RevstoreError


@dataclass(eq=False)
class RouteUnknown(NotFound):
    """No route has this path."""

    path: str
    says: ClassVar[str] = "there is nothing at {path!r}"


@dataclass(eq=False)
class MethodNotAllowed(InvalidInput):
    """The route has no such method.

    Attributes:
        allowed: The methods that the route has.
    """

    method: str
    allowed: tuple[str, ...]
    says: ClassVar[str] = "method {method!r} is not allowed here"


@dataclass(eq=False)
class InvalidHeader(InvalidInput):
    """A header with an invalid value."""

    header: str
    value: str
    reason: str
    says: ClassVar[str] = "header {header} = {value!r} is not valid: {reason}"


@dataclass(eq=False)
class InvalidQuery(InvalidInput):
    """A query parameter that is missing or has an invalid value."""

    parameter: str
    value: str
    reason: str
    says: ClassVar[str] = "query parameter {parameter} = {value!r} is not valid: {reason}"


@dataclass(eq=False)
class TooManyTags(InvalidInput):
    """A push that names more tags than one request may."""

    count: int
    limit: int
    says: ClassVar[str] = "{count} tags are over the limit of {limit} for one push"


@dataclass(eq=False)
class InvalidRange(InvalidInput):
    """A range of bytes that can't be served.

    Attributes:
        size: Bytes of the content.
    """

    header: str
    size: int
    says: ClassVar[str] = "range {header!r} is outside the {size} bytes of the content"


@dataclass(eq=False)
class PreconditionFailed(Conflict):
    """A condition of the request does not hold (RFC 9110, section 13). Nothing was changed.

    Attributes:
        actual: The present value; empty if it can't be read, or if the caller may not read it.
    """

    condition: str
    actual: str = ""
    says: ClassVar[str] = "the condition {condition} does not hold"

    def __str__(self) -> str:
        return f"{super().__str__()}: it is {self._shown('actual')}" if self.actual else super().__str__()


@dataclass(eq=False)
class BodyTooLarge(InvalidInput):
    """A body over the limit."""

    size: int
    limit: int
    says: ClassVar[str] = "a body of {size} bytes or more is over the limit of {limit}"


@dataclass(eq=False)
class BodyTimeout(RevstoreError):
    """A client paused for too long in its body, or sent it too slowly."""

    received: int
    seconds: float
    retryable: ClassVar[bool] = True
    says: ClassVar[str] = (
        "nothing, or too little, of the body came for {seconds} seconds, after {received} bytes"
    )


@dataclass(eq=False)
class ClientGone(RevstoreError):
    """A client left before the end of its body."""

    received: int
    retryable: ClassVar[bool] = True
    says: ClassVar[str] = "the client left after {received} bytes"


@dataclass(eq=False)
class ServerBusy(Overloaded):
    """Too many requests are under way. Nothing was begun."""

    says: ClassVar[str] = "too many requests are under way; try again later"


@dataclass(eq=False)
class AnswerTimeout(RevstoreError):
    """A client took its answer too slowly, or took nothing for too long."""

    sent: int
    seconds: float
    retryable: ClassVar[bool] = True
    says: ClassVar[str] = "the client took nothing, or too little, for {seconds} seconds, after {sent} bytes"
