"""Bearer tokens: JWTs in which an issuer grants access to a caller, as in Docker's token scheme.

jwcrypto verifies one signature with one key by one algorithm. This module chooses the key and the algorithm,
and judges all claims of a token. It uses neither jwcrypto's reading of headers nor its default algorithms.

Sources: RFC 7515, 7519 and 8725; RFC 6750; distribution, `docs/content/spec/auth/token.md` and `jwt.md`.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from jwcrypto.common import JWException
from jwcrypto.jws import JWS
from starlette.requests import HTTPConnection

from ...errors import (
    Base64NotCanonical,
    Forbidden,
    InvalidArgument,
    InvalidJSON,
    TooManyValues,
    Unauthenticated,
)
from ...formats.names import RepositoryName
from ...formats.strictjson import VALUE_LIMIT, JSONObject, loads_object
from ...signatures.encoding import from_base64url
from .challenges import quoted, scope_of
from .credentials import Remembered, credentials_of
from .grants import grants_in
from .key_sets import ALGORITHMS, Fetch, KeySet, TokenKey, key_source
from .policy import ANONYMOUS, AccessPolicy, Action, Authorize, Need, Principal, agrees

REMEMBERED: Final = 4096
"""Tokens that are remembered at once."""

_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_DEPTH: Final = 16
_HEADER_VALUES: Final = (
    64  # of a header, which is read before its signature is verified; some have a chain in x5c
)


class _Refused(Exception):
    """A token is refused; the text gives the reason.

    Attributes:
        user: The token's subject, if the issuer signed the token.
    """

    user = ""


class BearerTokens(AccessPolicy):
    """Lets in callers with a token of the issuer, for the needs that the token grants.

    The server verifies a token once, in some 0.3 ms, and remembers it until it expires or the keys change.

    Args:
        issuer: The maker of the tokens: their `iss`.
        service: The name of this registry, which must be in their `aud`.
        keys: The issuer's public keys: a JWK Set, the path of a file with one, which is read again when it has
            changed, or an async callable that fetches one, such as from the issuer's `jwks_uri`. The server
            calls it at first use, each ten minutes, and when a token names an unknown key, but at most each ten
            seconds.
        realm: The URL where a client gets a token.
        authorize: A further rule to ask.
        algorithms: The algorithms that tokens may be signed with; a subset of `ALGORITHMS`.
        leeway: The greatest difference of clocks to accept.
        clock: Tells the time, in seconds since 1970.
        key_clock: Tells the time in seconds, for the renewal of keys.

    Raises:
        InvalidKeySet: The keys can't be used.
        InvalidArgument: An algorithm is not in `ALGORITHMS`; a text is empty, or not printable ASCII; `leeway`
            is negative; or `keys` is a URL.
        OSError: The file can't be read.
    """

    def __init__(
        self,
        issuer: str,
        service: str,
        keys: Mapping[str, Any] | Path | str | Fetch,
        realm: str,
        *,
        authorize: Authorize | None = None,
        algorithms: Sequence[str] = ALGORITHMS,
        leeway: timedelta = timedelta(seconds=30),
        clock: Callable[[], float] = time.time,
        key_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, text in (("issuer", issuer), ("service", service), ("realm", realm)):
            if not text:
                raise InvalidArgument(name, text, "it is empty")
        if not algorithms or not set(algorithms) <= set(ALGORITHMS):
            raise InvalidArgument("algorithms", algorithms, f"they are not of {', '.join(ALGORITHMS)}")
        if leeway < timedelta(0):
            raise InvalidArgument("leeway", leeway, "it is not a time")
        self._issuer: Final = issuer
        self._service: Final = service
        self._keys: Final = key_source(keys, clock=key_clock)
        self._authorize: Final = authorize
        self._algorithms: Final = frozenset(algorithms)
        self._leeway: Final = leeway.total_seconds()
        self._clock: Final = clock
        self._start: Final = f"Bearer realm={quoted('realm', realm)},service={quoted('service', service)}"
        self._verified: Final = Remembered[Principal](REMEMBERED, clock)
        self._verified_with: KeySet | None = None

    async def authenticate(self, connection: HTTPConnection) -> Principal:
        """Return the token's subject and grants; `ANONYMOUS` for a request without a token.

        Raises:
            Unauthenticated: The token is not valid; the error says why.
            KeySetUnavailable: There are no keys to verify it with.
        """
        token = credentials_of(connection, "Bearer", self._start)
        if token is None:
            return ANONYMOUS
        key = hashlib.sha256(token.encode()).digest()
        keys = await self._keys.current()
        if keys is not self._verified_with:
            self._verified.clear()
            self._verified_with = keys
        principal = self._verified.find(key)
        if principal is not None:
            return principal
        try:
            principal, end = await self._verify(token, keys)
        except _Refused as refused:
            raise Unauthenticated(
                f'{self._start},error="invalid_token"', str(refused), refused.user
            ) from None
        self._verified.keep(key, principal, end)
        return principal

    async def reload(self) -> None:
        """Read a file of keys anew."""
        await self._keys.reload()

    async def allows(self, principal: Principal, need: Need) -> bool:
        """Say yes to a need that the token grants, unless a rule says no; each valid token opens `/v2/`."""
        if principal is ANONYMOUS:
            return False
        granted = need.action is Action.ENTER or need in principal.grants
        return granted and await agrees(self._authorize, principal, need)

    async def sees(self, principal: Principal, name: RepositoryName) -> bool:
        """Say yes to a token that grants the catalog, unless a rule forbids to pull from the repository."""
        if Need(Action.CATALOG) not in principal.grants:
            return await super().sees(principal, name)
        return await agrees(self._authorize, principal, Need(Action.PULL, name))

    def refusal(self, principal: Principal, needs: Sequence[Need]) -> Forbidden | Unauthenticated:
        """Return the error; its challenge names the scope of a sufficient token."""
        if principal is not ANONYMOUS and principal.grants.issuperset(needs):
            return super().refusal(principal, needs)  # the rule said no, and no token will change that
        challenge = self.challenge(needs)
        if principal is ANONYMOUS:
            return Unauthenticated(challenge)
        # Docker's clients look for a challenge at 401 only, though RFC 6750 would have 403.
        return Unauthenticated(f'{challenge},error="insufficient_scope"', "the token does not grant it")

    def rejection(self, error: Unauthenticated, needs: Sequence[Need]) -> Unauthenticated:
        """Return the error with the scope of a sufficient token: clients take it from any challenge."""
        return replace(error, challenge=self.challenge(needs) + error.challenge.removeprefix(self._start))

    def challenge(self, needs: Sequence[Need]) -> str:
        """Return the challenge to bring a token of sufficient scope."""
        scope = scope_of(needs)
        return self._start + (f",scope={quoted('scope', scope)}" if scope else "")

    async def _verify(self, token: str, keys: KeySet) -> tuple[Principal, float]:
        parts = token.split(".")
        if len(parts) != 3:
            raise _Refused("it is not a signed JWT")
        header = _json(parts[0], "header", max_values=_HEADER_VALUES)
        algorithm, kid = self._judge(header)
        if not keys.has(kid):
            keys = await self._keys.renewed()
        found = keys.find(kid, algorithm)
        if not found:
            known = "does not sign with its algorithm" if keys.has(kid) else "is not known"
            raise _Refused(f"the key that it names {known}")
        width = len(_bytes(parts[2], "signature"))  # jwcrypto takes other forms of the same signature
        if not any(key.width == width and _is_signed(token, algorithm, key) for key in found):
            raise _Refused("its signature is wrong")
        claims = _json(parts[1], "payload")
        try:
            return self._claimed(claims)
        except _Refused as refused:
            refused.user = str(claims.get("sub", ""))
            raise

    def _judge(self, header: JSONObject) -> tuple[str, str | None]:
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise _Refused(f"its algorithm is none of {', '.join(sorted(self._algorithms))}")
        if "crit" in header or "b64" in header:
            raise _Refused("its header demands an extension")
        if not isinstance(kid, str | None):
            raise _Refused("its kid is not text")
        kind = header.get("typ", "jwt")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise _Refused("it is of another type")
        return algorithm, kid

    def _claimed(self, claims: JSONObject) -> tuple[Principal, float]:
        if claims.get("iss") != self._issuer:
            raise _Refused("it is of another issuer, or names none")
        audience = claims.get("aud")
        if self._service not in (audience if isinstance(audience, list) else [audience]):
            raise _Refused("it is for another service, or names none")
        now = self._clock()
        end = _time(claims, "exp")
        if end is None:
            raise _Refused("it has no exp")
        if now >= end + self._leeway:
            raise _Refused("it has expired")
        for claim in ("nbf", "iat"):
            if (_time(claims, claim) or 0) > now + self._leeway:
                raise _Refused(f"its {claim} is in the future")
        subject = claims.get("sub", "")
        if not isinstance(subject, str):
            raise _Refused("its sub is not text")
        try:
            return Principal(subject, grants_in(claims)), end + self._leeway
        except ValueError as error:
            raise _Refused(f"its access claim is not valid: {error}") from None


def _bytes(part: str, name: str) -> bytes:
    try:
        return from_base64url(part, name)
    except Base64NotCanonical:
        raise _Refused(f"its {name} is not base64url") from None


def _json(part: str, name: str, *, max_values: int = VALUE_LIMIT) -> JSONObject:
    try:
        return loads_object(_bytes(part, name), max_depth=_DEPTH, max_values=max_values)
    except TooManyValues as error:
        raise _Refused(f"its {name} holds more than {error.limit} values") from None
    except InvalidJSON:
        raise _Refused(f"its {name} is not a JSON object") from None


def _time(claims: JSONObject, claim: str) -> float | None:
    if claim not in claims:
        return None
    value = claims[claim]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Refused(f"its {claim} is not a time")
    return float(value)


def _is_signed(token: str, algorithm: str, key: TokenKey) -> bool:
    jws = JWS()
    jws.allowed_algs = [algorithm]
    try:
        jws.deserialize(token)
        jws.verify(key.jwk, alg=algorithm)
    except JWException:
        return False
    return True
