"""The table of a driver's options: the fields of its dataclass, and from where each is filled.

Later places fill what earlier ones left open: the URL first, then the program's arguments, then the driver's own
variables, then those of others.
"""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, Final

from revstore_async.driver import check_prefix, without_secrets
from revstore_async.errors import InvalidKey, InvalidStoreURL

from .arguments import take_options

PREFIX_LIMIT: Final = 110
"""Characters of a prefix; with a key's 900 and what stands beside, the 1,024 of S3, Google and Azure are enough."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


class Table:
    """The options of one dataclass; see `options.option` for its fields.

    Attributes:
        where: The options, and of each what else its driver must know: variables, or schemes.
        secrets: Those that have no place in a URL or a variable, where logs and process lists would show them.
    """

    def __init__(self, options: type, variables: str) -> None:
        """Read the fields.

        Args:
            options: The dataclass; its fields with metadata are options.
            variables: What the names of the driver's own variables begin with.
        """
        found = {each.name: each.metadata for each in fields(options) if each.metadata}
        self.where: Mapping[str, tuple[str, ...]] = {name: said["where"] for name, said in found.items()}
        self.secrets = frozenset(name for name, said in found.items() if "secret" in said)
        self._parse = {name: said["parse"] for name, said in found.items()}
        self._variables = variables

    def take(self, url: str, options: Mapping[str, object], known: frozenset[str]) -> dict[str, object]:
        """Return the URL's query and the program's options as one; the query goes first.

        Raises:
            InvalidStoreURL: One of them is not known, stands twice in the query, or is a secret there.
        """
        taken = take_options(url, options, known)
        if in_url := self.secrets & take_options(url, {}, known).keys():
            raise InvalidStoreURL(
                without_secrets(url), f"{min(in_url)} is a secret, which has no place in a URL"
            )
        return taken

    def values(
        self,
        shown: str,
        options: Mapping[str, object],
        known: Collection[str],
        others: Mapping[str, tuple[str, ...]],
    ) -> dict[str, Any]:
        """Return the values of options; what they left open is filled from the environment, if it is there.

        Args:
            shown: What messages call the store.
            options: As texts or as values; None for one that is left open.
            known: The options that there are for this store.
            others: Variables that are not the driver's own, by option.

        Raises:
            InvalidStoreURL: One is not known or wrong, or two do not go together; it is named.
        """
        values: dict[str, Any] = {}
        for name, value in options.items():
            if name not in known:
                raise InvalidStoreURL(shown, f"the option {name!r} is not known")
            if value is not None:
                values[name] = self._parsed(shown, name, name, value)
        for name in self.where:
            if name in known and name not in self.secrets:
                for variable in (f"{self._variables}{name.upper()}", *others.get(name, ())):
                    if name not in values and (said := os.environ.get(variable)):
                        values[name] = self._parsed(shown, name, variable, said)
        _check_together(shown, values)
        return values

    def _parsed(self, shown: str, name: str, place: str, value: object) -> object:
        try:
            return self._parse[name](value)
        except ValueError as error:
            told = "what it was given" if name in self.secrets else repr(str(value)[:100])
            raise InvalidStoreURL(shown, f"{place} is {told}: {error}") from None


def _check_together(shown: str, values: Mapping[str, Any]) -> None:
    if values.get("kms_key") and not str(values.get("sse", "")).startswith("aws:kms"):
        raise InvalidStoreURL(shown, "kms_key needs sse=aws:kms")
    if bool(values.get("access_key_id")) != bool(values.get("secret_access_key")):
        raise InvalidStoreURL(shown, "access_key_id and secret_access_key go together")


def is_bucket(name: str) -> bool:
    """Say whether a bucket, or a container, can have the name."""
    return bool(_BUCKET.fullmatch(name))


def bare_prefix(shown: str, prefix: str) -> str:
    """Return a prefix without the `/` around it.

    Raises:
        InvalidStoreURL: Keys can't stand below it.
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
