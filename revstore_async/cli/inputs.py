"""The values on the command line: files, references, times, sizes, networks."""

import re
from datetime import UTC, datetime, time, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final

import click

from ..errors import RevstoreError
from ..formats.digest import Digest
from ..formats.durations import read_duration
from ..formats.names import Reference, RepositoryName, Tag

LEAST_REST: Final = "1h"
"""The least rest of an upload before a purge: the age of bytes counts from the end of their request."""

MOST_REST: Final = "3650d"

# The digits are few enough that Python reads them at once.
_SIZE: Final = re.compile(r"([0-9]{1,15})(|KiB|MiB|GiB|TiB)")
_DAILY: Final = re.compile(r"daily ([01][0-9]|2[0-3]):([0-5][0-9])")
_BYTES: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


class ReferenceType(click.ParamType[Reference]):
    """REPO, REPO:TAG or REPO@DIGEST."""

    name = "reference"

    def __init__(self, *, target: type[Tag] | type[Digest] | None = None, demanded: bool = True) -> None:
        self._target = target
        self._demanded = demanded

    def convert(
        self, value: str | Reference, parameter: click.Parameter | None, context: click.Context | None
    ) -> Reference:
        """Read the reference, or fail as a usage error."""
        if isinstance(value, Reference):
            return value
        try:
            reference = Reference.parse(value)
        except RevstoreError as error:
            self.fail(str(error), parameter, context)
        if self._demanded and reference.target is None:
            self.fail(f"{value!r} names no tag or digest", parameter, context)
        if self._target and reference.target is not None and not isinstance(reference.target, self._target):
            self.fail(f"{value!r} does not name a {self._target.__name__.lower()}", parameter, context)
        return reference


class RepositoryType(click.ParamType[RepositoryName]):
    """The name of a repository."""

    name = "repository"

    def convert(
        self, value: str, parameter: click.Parameter | None, context: click.Context | None
    ) -> RepositoryName:
        """Read the name, or fail as a usage error."""
        try:
            return RepositoryName(value)
        except RevstoreError as error:
            self.fail(str(error), parameter, context)


class DigestType(click.ParamType[Digest]):
    """The digest of content."""

    name = "digest"

    def convert(self, value: str, parameter: click.Parameter | None, context: click.Context | None) -> Digest:
        """Read the digest, or fail as a usage error."""
        try:
            return Digest(value)
        except RevstoreError as error:
            self.fail(str(error), parameter, context)


class TimeType(click.ParamType[datetime]):
    """A moment, in ISO 8601; without a zone it is UTC."""

    name = "time"

    def convert(
        self, value: str | datetime, parameter: click.Parameter | None, context: click.Context | None
    ) -> datetime:
        """Read the time, or fail as a usage error."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            self.fail(f"{error}; write it like 2026-11-23T12:00:00Z", parameter, context)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class DurationType(click.ParamType[timedelta]):
    """A length of time, such as 90m, 12h or 2d.

    Args:
        least: The shortest time, as written on the command line; a shorter one is a usage error.
        most: The longest time, as written on the command line; a longer one is a usage error.
        never: Whether it also takes `never` or 0: both are a time of 0.
        seconds: Whether it also takes a number of seconds without a unit.
    """

    name = "duration"

    def __init__(self, least: str, most: str, *, never: bool = False, seconds: bool = False) -> None:
        self._least = least
        self._most = most
        self._never = never
        self._seconds = seconds

    def convert(
        self, value: str | timedelta, parameter: click.Parameter | None, context: click.Context | None
    ) -> timedelta:
        """Read the time, or fail as a usage error."""
        if isinstance(value, timedelta):
            return value
        if self._never and value in {"never", "0"}:
            return timedelta(0)
        try:
            duration = read_duration(
                f"{value}s" if self._seconds and value.isascii() and value.isdigit() else value
            )
        except ValueError:
            other = ", or never" if self._never else ""
            self.fail(
                f"{value!r} is no length of time; write it like 90m, 12h or 2d{other}", parameter, context
            )
        if duration < read_duration(self._least):
            self.fail(f"{value!r} is too short: {self._least} at least", parameter, context)
        if duration > read_duration(self._most):
            self.fail(f"{value!r} is too long: {self._most} at most", parameter, context)
        return duration


class DailyType(click.ParamType[time]):
    """A time of each day, such as `daily 03:00`."""

    name = "daily"

    def convert(
        self, value: str | time, parameter: click.Parameter | None, context: click.Context | None
    ) -> time:
        """Read the time, or fail as a usage error."""
        if isinstance(value, time):
            return value
        found = _DAILY.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no time of each day; write it like 'daily 03:00'", parameter, context)
        return time(int(found[1]), int(found[2]))


class SizeType(click.ParamType[int]):
    """A number of bytes, such as 1048576, 512KiB or 10GiB.

    Args:
        least: The smallest size; a smaller one is a usage error.
    """

    name = "size"

    def __init__(self, least: int = 0) -> None:
        self._least = least

    def convert(
        self, value: str | int, parameter: click.Parameter | None, context: click.Context | None
    ) -> int:
        """Read the size, or fail as a usage error."""
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no size; write it like 1048576, 512KiB or 10GiB", parameter, context)
        size = int(found[1]) * _BYTES[found[2]]
        if size < self._least:
            self.fail(f"{value!r} is too small: {self._least} at least", parameter, context)
        return size


class NetworkType(click.ParamType[IPv4Network | IPv6Network]):
    """A network, such as 10.0.0.0/8; an address is a network of one."""

    name = "network"

    def convert(
        self,
        value: str | IPv4Network | IPv6Network,
        parameter: click.Parameter | None,
        context: click.Context | None,
    ) -> IPv4Network | IPv6Network:
        """Read the network, or fail as a usage error."""
        try:
            return ip_network(value)
        except ValueError as error:
            self.fail(f"{error}; write it like 10.0.0.0/8", parameter, context)


def document_or_reference(text: str) -> bytes | Reference:
    """Read FILE|REF: `-` is standard input, an existing file's path that file, anything else a reference."""
    if text == "-" or is_file(text):
        return read_document(text)
    try:
        reference = Reference.parse(text)
    except RevstoreError as error:
        raise click.UsageError(f"{text!r} is no file, and as a reference: {error}") from error
    if reference.target is None:
        raise click.UsageError(f"{text!r} is no file, and as a reference names no tag or digest")
    return reference


def is_file(text: str) -> bool:
    """Say whether there is a file of this name."""
    try:
        return Path(text).is_file()
    except OSError:  # too long for a path; it may still be a reference
        return False


def read_document(path: str) -> bytes:
    """Return a file's bytes; of standard input for `-`."""
    with click.open_file(path, "rb") as file:
        content: bytes = file.read()
    return content
