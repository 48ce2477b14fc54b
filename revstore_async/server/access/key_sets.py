"""The public keys that verify tokens, and their sources.

Source: RFC 7517 (JWK Set).
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwcrypto.common import JWException
from jwcrypto.jwk import JWK

from ...errors import InvalidArgument, InvalidJSON, InvalidKeySet, KeySetUnavailable, UnusableKey
from ...formats.strictjson import loads_object
from ...signatures import PublicKey
from .watched_file import WatchedFile

_LOG = logging.getLogger("revstore_async.server")

ALGORITHMS: Final = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "EdDSA")
"""The algorithms that a token may be signed with, as far as the key fits."""

_PUBLIC: Final = {"EC": ("crv", "x", "y"), "RSA": ("n", "e"), "OKP": ("crv", "x")}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_NAMED: Final = 3  # ignored keys that a line of the log or an error names
_SHOWN: Final = 100  # characters of a reason or a member that it shows

Fetch = Callable[[], Awaitable[Mapping[str, Any] | bytes]]
"""A program's own way to its issuer's key set: returns the JWK Set, read or as JSON."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A public key of an issuer.

    Attributes:
        kid: The key's name in tokens; None if the set gives it no name.
        algorithms: The algorithms of signatures by it.
        width: Bytes of a signature by it.
        jwk: The key, as jwcrypto takes it.
    """

    kid: str | None
    algorithms: tuple[str, ...]
    width: int
    jwk: JWK = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of an issuer."""

    keys: tuple[TokenKey, ...]

    @classmethod
    def read(cls, source: str, content: bytes) -> "KeySet":
        """Read a JWK Set. `of` says which of its keys are left out.

        Raises:
            InvalidKeySet: The content is not a JWK Set, or it has no key for signatures that can be used.
        """
        try:
            return cls.of(source, loads_object(content))
        except InvalidJSON as error:
            raise InvalidKeySet(source, f"it is not JSON: {error}") from None

    @classmethod
    def of(cls, source: str, members: Mapping[str, Any]) -> "KeySet":
        """Make a key set of a parsed JWK Set.

        It leaves out keys for another use than signatures. It also leaves out keys of an unknown type, incomplete,
        private and weak ones (RFC 7517, section 5); a line of the log names them.

        Raises:
            InvalidKeySet: As `read` does.
        """
        entries = members.get("keys")
        if not isinstance(entries, list):
            raise InvalidKeySet(source, "it has no list of keys")
        keys: list[TokenKey] = []
        ignored: list[str] = []
        for number, entry in enumerate(entries):
            place = f"keys[{number}]"
            if not isinstance(entry, dict):
                ignored.append(f"{place} is no object")
                continue
            if not _for_signatures(entry):
                continue
            try:
                keys.append(_key(place, entry))
            except _Unusable as reason:
                ignored.append(str(reason))
        if not keys:
            raise InvalidKeySet(source, "; ".join(["it has no key for signatures", *ignored[:_NAMED]]))
        if ignored:
            left = f", and {len(ignored) - _NAMED} more" if len(ignored) > _NAMED else ""
            _LOG.warning(
                "of the keys in %s some are ignored: %s%s", source, "; ".join(ignored[:_NAMED]), left
            )
        return cls(tuple(keys))

    def find(self, kid: str | None, algorithm: str) -> Sequence[TokenKey]:
        """Return the keys of this algorithm and name (None: any name) that may have signed a token."""
        return [key for key in self.keys if kid in (None, key.kid) and algorithm in key.algorithms]

    def has(self, kid: str | None) -> bool:
        """Say whether there is a key of this name, for any algorithm; True for None."""
        return kid is None or any(key.kid == kid for key in self.keys)


class _Unusable(Exception):
    """A key that a set is used without."""


def _for_signatures(entry: Mapping[str, Any]) -> bool:
    uses = entry.get("key_ops", ("verify",))
    return entry.get("use", "sig") == "sig" and (not isinstance(uses, list | tuple) or "verify" in uses)


def _key(place: str, entry: Mapping[str, Any]) -> TokenKey:
    kind, kid, named = entry.get("kty"), entry.get("kid"), entry.get("alg")
    parts = _PUBLIC.get(kind) if isinstance(kind, str) else None
    if parts is None:
        raise _Unusable(f"{place} is of type {str(kind)[:_SHOWN]!r}, not one of {', '.join(_PUBLIC)}")
    if _PRIVATE & entry.keys():
        raise _Unusable(f"{place} holds a private key; consider that key compromised")
    if not isinstance(kid, str | None):
        raise _Unusable(f"the kid of {place} is not text")
    if not isinstance(entry.get("key_ops", []), list):
        raise _Unusable(f"the key_ops of {place} are no list")
    try:
        jwk = JWK(kty=kind, **{part: entry[part] for part in parts})
        fitting, width = _algorithms(jwk.get_op_key("verify"))
    except (JWException, UnusableKey, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _Unusable(f"{place} can't be used: {str(error)[:_SHOWN]}") from None
    if named is not None and named not in fitting:
        raise _Unusable(
            f"{place} is for {str(named)[:_SHOWN]!r}, but its kind signs with {', '.join(fitting)}"
        )
    return TokenKey(kid, fitting if named is None else (named,), width, jwk)


def _algorithms(key: object) -> tuple[tuple[str, ...], int]:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return ("EdDSA",), 64
    if isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        judged = PublicKey.of(key)  # the curve, and the size of RSA
        return judged.algorithms, judged.signature_width
    raise TypeError(f"{type(key).__name__} is no key for tokens")


class KeySource(Protocol):
    """A source of an issuer's keys."""

    async def current(self) -> KeySet:
        """Return the current keys."""

    async def renewed(self) -> KeySet:
        """Return the keys for a token with an unknown key; ask for them anew, but not too often."""

    async def reload(self) -> None:
        """Read a file of keys anew."""


class FixedKeys:
    """Keys that don't change."""

    def __init__(self, keys: KeySet) -> None:
        self._keys: Final = keys

    async def current(self) -> KeySet:
        """Return the keys."""
        return self._keys

    async def renewed(self) -> KeySet:
        """Return the keys."""
        return self._keys

    async def reload(self) -> None:
        """Do nothing."""


class FileKeys:
    """Keys in a file; the server looks at the file each second or so."""

    def __init__(self, path: Path | str, clock: Callable[[], float]) -> None:
        self._file: Final = WatchedFile(path, KeySet.read, clock=clock)

    async def current(self) -> KeySet:
        """Return the keys that the file holds."""
        return await self._file.current()

    async def renewed(self) -> KeySet:
        """Return the keys that the file holds."""
        return await self._file.current()

    async def reload(self) -> None:
        """Read the file anew."""
        await self._file.reload()


class FetchedKeys:
    """Keys that a program fetches: at first use, after each `interval`, and for an unknown name.

    `pause` passes at least between two tries for an unknown name, and between two tries without any keys. If a
    fetch fails, the former keys stay in force.
    """

    def __init__(
        self, fetch: Fetch, clock: Callable[[], float], *, interval: timedelta, pause: timedelta
    ) -> None:
        self._fetch: Final = fetch
        self._clock: Final = clock
        self._interval: Final = interval.total_seconds()
        self._pause: Final = pause.total_seconds()
        self._lock = asyncio.Lock()
        self._keys: KeySet | None = None
        self._tried = float("-inf")

    async def current(self) -> KeySet:
        """Return the keys.

        Raises:
            KeySetUnavailable: The fetch failed, and there are no former keys.
        """
        return await self._within(self._pause if self._keys is None else self._interval)

    async def renewed(self) -> KeySet:
        """Return the keys; fetch them anew, unless the last try is younger than `pause`.

        Raises:
            KeySetUnavailable: The fetch failed, and there are no former keys.
        """
        return await self._within(self._pause)

    async def reload(self) -> None:
        """Do nothing: the program that fetches the keys decides by itself."""

    async def _within(self, age: float) -> KeySet:
        if self._clock() - self._tried >= age:
            async with self._lock:
                if self._clock() - self._tried >= age:  # else another has just tried
                    await self._try()
        if self._keys is None:
            raise KeySetUnavailable("the issuer")
        return self._keys

    async def _try(self) -> None:
        try:
            fetched = await self._fetch()
            self._keys = (
                KeySet.read("the issuer", fetched)
                if isinstance(fetched, bytes)
                else KeySet.of("the issuer", fetched)
            )
        except Exception:  # noqa: BLE001 (any error of a program's own fetching)
            _LOG.exception("the key set of the issuer could not be fetched")
        self._tried = self._clock()


def key_source(
    keys: Mapping[str, Any] | Path | str | Fetch,
    *,
    interval: timedelta = timedelta(minutes=10),
    pause: timedelta = timedelta(seconds=10),
    clock: Callable[[], float] = time.monotonic,
) -> KeySource:
    """Return the source of keys for a JWK Set, a file with a JWK Set, or a callable that fetches one.

    Args:
        keys: A mapping, the path of a file, or an async callable. There is no URL: the engine has no HTTP client,
            and the embedding program has one, with its own proxies and certificates.
        interval: Time after which the keys are fetched anew.
        pause: Least time between two tries.
        clock: Tells the time in seconds.

    Raises:
        InvalidKeySet: The keys can't be used.
        InvalidArgument: `keys` is a URL.
        OSError: The file can't be read.
    """
    if isinstance(keys, Mapping):
        # It is written and read, so that the checks of a file's set hold for a program's set too.
        return FixedKeys(KeySet.read("the mapping", json.dumps(dict(keys)).encode()))
    if isinstance(keys, str) and "://" in keys:
        raise InvalidArgument("keys", keys, "it is a URL: give an async callable that fetches the key set")
    if isinstance(keys, Path | str):
        return FileKeys(keys, clock)
    return FetchedKeys(keys, clock, interval=interval, pause=pause)
