"""Reads the options of drivers of object storage: from a store's URL, a program's arguments and the environment.

The fields of a driver's dataclass are its options. The first source that names an option wins: the URL, then the
program's arguments, then the driver's own variables, then those of AWS.

A parser takes an option as the text of a URL or as the value of a program. It returns the value, or raises a
ValueError that names the fault.
"""

import math
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import field, fields
from typing import Any, Final
from urllib.parse import urlsplit

from revstore_async.driver import check_prefix, without_secrets
from revstore_async.errors import InvalidKey, InvalidStoreURL

from ..arguments import take_options, unknown_option

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

SMALLEST_PART: Final = 5 * MIB
"""Bytes that each part but the last has at least on S3."""

LARGEST_PART: Final = 5 * GIB
"""Bytes that a part, or an object copied in one request, has at most on S3."""

PREFIX_LIMIT: Final = 110
"""Characters of a prefix: with a key's 900 and a little more, S3, Google and Azure take 1,024 for a name."""

S3: Final = "S3"
GOOGLE: Final = "Google"
AZURE: Final = "Azure"

_SIZE = re.compile(r"([0-9]{1,15})(KiB|MiB|GiB|)")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_UNITS = {"": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}

Parse = Callable[[object], Any]


def text(value: object) -> str:
    """Read a text that can be printed."""
    found = str(value)
    if not found or not found.isprintable():
        raise ValueError("not a text")
    return found


def flag(value: object) -> bool:
    """Read true or false."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in known:
        raise ValueError("not true or false")
    return known[str(value).lower()]


def number(least: int, most: int) -> Parse:
    """Return a parser of whole numbers from one to another."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not str(value).isdecimal() or not least <= int(str(value)) <= most:
            raise ValueError(f"not a number from {least} to {most}")
        return int(str(value))

    return parse


def part_bytes(value: object) -> int:
    """Read the bytes of a part, such as `16MiB`."""
    found = _SIZE.fullmatch(str(value))
    size = int(found[1]) * _UNITS[found[2]] if found else 0
    if not SMALLEST_PART <= size <= LARGEST_PART:
        raise ValueError("not a size from 5MiB to 5GiB")
    return size


def seconds(value: object) -> float:
    """Read seconds, up to an hour."""
    found = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        found = float(value)
    if not 0 < found <= 3600:
        raise ValueError("not a number of seconds up to 3600")
    return found


def choice(*offered: str) -> Parse:
    """Return a parser of one of several texts."""

    def parse(value: object) -> str:
        if value not in offered:
            raise ValueError(f"not one of {', '.join(offered)}")
        return str(value)

    return parse


def endpoint(value: object) -> str:
    """Read the URL of a server: a scheme, a host and a port."""
    parts = urlsplit(text(value))
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not an http or https URL")
    if parts.username or parts.password or parts.query or parts.fragment or parts.path not in {"", "/"}:
        raise ValueError("not just a scheme, a host and a port")
    return str(value).rstrip("/")


def verify(value: object) -> bool | str:
    """Read whether TLS is verified, or the file of the certificates by which it is."""
    try:
        return flag(value)
    except ValueError:
        return text(value)


def option(
    parse: Parse, default: object, says: str, *, of: Collection[str] = (), variables: Collection[str] = ()
) -> Any:  # noqa: ANN401 (as dataclasses.field has it)
    """Return the field of an option.

    Args:
        parse: Its parser.
        default: Its value where no source gives one.
        says: What it means, for the documents.
        of: The clouds that have it, such as `S3`; empty for all.
        variables: The variables of AWS that fill it, on S3.
    """
    told = {"parse": parse, "says": says, "of": frozenset(of), "variables": tuple(variables)}
    return field(default=default, metadata=told)


def secret(says: str, *, of: Collection[str] = ()) -> Any:  # noqa: ANN401 (as above)
    """Return the field of an option that no URL, message or repr shows."""
    told = {"parse": text, "says": says, "of": frozenset(of), "variables": (), "secret": True}
    return field(default=None, repr=False, metadata=told)


class OptionReader:
    """Reads the options of a driver.

    Attributes:
        secrets: The options that no URL and no variable may hold, since logs and process lists show these.
    """

    def __init__(self, options: type, variables: str) -> None:
        """Take the fields of a dataclass as options.

        Args:
            options: The dataclass; each field with metadata is an option, made by `option` or `secret`.
            variables: The beginning of the names of the driver's own variables.
        """
        self._options = {each.name: each.metadata for each in fields(options) if each.metadata}
        self._variables = variables
        self.secrets: frozenset[str] = frozenset(
            name for name, told in self._options.items() if "secret" in told
        )

    def of(self, cloud: str) -> frozenset[str]:
        """Return the names of the options that stores of a cloud have."""
        return frozenset(
            name for name, told in self._options.items() if not told["of"] or cloud in told["of"]
        )

    def given(self, url: str, options: Mapping[str, object], cloud: str) -> dict[str, object]:
        """Return the URL's query and the program's options as one; the query goes first.

        Raises:
            InvalidStoreURL: An option is not known, stands twice in the query, or is a secret there.
        """
        known = self.of(cloud)
        taken = take_options(url, options, known)
        if in_url := self.secrets & take_options(url, {}, known).keys():
            raise InvalidStoreURL(without_secrets(url), f"{min(in_url)} is a secret, which no URL may hold")
        return taken

    def values(self, shown: str, options: Mapping[str, object], cloud: str) -> dict[str, Any]:
        """Return the values of the given options, and those of further options from the environment.

        Args:
            shown: The name of the store in messages.
            options: As texts or as values; None for one that is left open.
            cloud: Whose store it is.

        Raises:
            InvalidStoreURL: An option is not known or wrong, or two do not go together; the message names it.
        """
        known = self.of(cloud)
        values: dict[str, Any] = {}
        for name, value in options.items():
            if name not in known:
                raise unknown_option(shown, name, known)
            if value is not None:
                values[name] = self._parsed(shown, name, name, value)
        for name, told in self._options.items():
            if name in known and name not in self.secrets:
                own = f"{self._variables}{name.upper()}"
                for variable in (own, *(told["variables"] if cloud == S3 else ())):
                    if name not in values and (said := os.environ.get(variable)):
                        values[name] = self._parsed(shown, name, variable, said)
        _check_together(shown, values)
        return values

    def _parsed(self, shown: str, name: str, source: str, value: object) -> object:
        try:
            return self._options[name]["parse"](value)
        except ValueError as error:
            told = "what it was given" if name in self.secrets else repr(str(value)[:100])
            raise InvalidStoreURL(shown, f"{source} is {told}: {error}") from None


def _check_together(shown: str, values: Mapping[str, Any]) -> None:
    if values.get("kms_key") and not str(values.get("sse", "")).startswith("aws:kms"):
        raise InvalidStoreURL(shown, "kms_key needs sse=aws:kms")
    if bool(values.get("access_key_id")) != bool(values.get("secret_access_key")):
        raise InvalidStoreURL(shown, "access_key_id and secret_access_key go together")


def is_bucket(name: str) -> bool:
    """Whether a bucket, or a container, can have the name."""
    return bool(_BUCKET.fullmatch(name))


def bare_prefix(shown: str, prefix: str) -> str:
    """Return a prefix without the `/` around it.

    Raises:
        InvalidStoreURL: No key can stand below it.
    """
    bare = prefix.strip("/")
    try:
        check_prefix(bare)
    except InvalidKey as error:
        raise InvalidStoreURL(shown, f"the prefix is not valid: {error.reason}") from error
    if len(bare) > PREFIX_LIMIT:
        raise InvalidStoreURL(shown, f"the prefix has over {PREFIX_LIMIT} characters")
    return bare


def shown_as(scheme: str, bucket: str, prefix: str) -> str:
    """Return the name of a store in messages."""
    return f"{scheme}://{bucket}/{prefix}" if prefix else f"{scheme}://{bucket}"
