"""Tokens, good and forged, the keys that sign them, and the policy that judges them."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS
from starlette.requests import HTTPConnection

from revstore_async import Registry
from revstore_async.errors import Unauthenticated
from revstore_async.server import BearerTokens, Principal, RegistryApp
from tests.parts.serving import client_of

NOW = 1_800_000_000
ISSUER, SERVICE, REALM = "https://issuer.test", "registry.test", "https://issuer.test/token"
PUSH = [{"type": "repository", "name": "library/hello", "actions": ["pull", "push"]}]
KINDS: dict[str, dict[str, Any]] = {
    "ES256": {"kty": "EC", "crv": "P-256"},
    "ES384": {"kty": "EC", "crv": "P-384"},
    "ES512": {"kty": "EC", "crv": "P-521"},
    "RS256": {"kty": "RSA", "size": 2048},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
}
KEYS = {algorithm: JWK.generate(kid=algorithm, **kind) for algorithm, kind in KINDS.items()}
KEYS["RS384"] = KEYS["RS512"] = KEYS["RS256"]
KEY = KEYS["ES256"]
STRANGER = JWK.generate(kid="ES256", kty="EC", crv="P-256")


def public(*keys: JWK, **members: Any) -> dict[str, Any]:
    return {"keys": [key.export_public(as_dict=True) | members for key in keys]}


JWKS = public(*{key.kid: key for key in KEYS.values()}.values())


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; The value None removes a claim."""
    good = {
        "iss": ISSUER,
        "aud": SERVICE,
        "sub": "ann",
        "exp": NOW + 300,
        "nbf": NOW - 10,
        "iat": NOW - 10,
        "jti": "1",
        "access": PUSH,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def token(
    payload: Mapping[str, Any] | bytes | None = None, key: JWK = KEY, alg: str = "ES256", **header: Any
) -> str:
    """Sign a token. `forged` makes tokens that jwcrypto would not sign."""
    content = payload if isinstance(payload, bytes) else json.dumps(payload or claims()).encode()
    protected = {"alg": alg, "kid": key.kid, "typ": "JWT"} | header
    jws = JWS(content)
    jws.allowed_algs = [alg]
    kept = {name: value for name, value in protected.items() if value is not None}
    jws.add_signature(key, alg=alg, protected=json.dumps(kept))
    return str(jws.serialize(compact=True))


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def forged(header: Mapping[str, Any] | bytes, signature: bytes = b"") -> str:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return f"{base64url(text)}.{base64url(json.dumps(claims()).encode())}.{base64url(signature)}"


class Clock:
    now = float(NOW)

    def __call__(self) -> float:
        return self.now


def policy(keys: Any = JWKS, **options: Any) -> BearerTokens:
    return BearerTokens(ISSUER, SERVICE, keys, REALM, **({"clock": Clock()} | options))


def bearer(text: str) -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [(b"authorization", f"Bearer {text}".encode())]})


async def who(text: str, judge: BearerTokens | None = None) -> Principal:
    return await (judge or policy()).authenticate(bearer(text))


async def reason_of(text: str, judge: BearerTokens | None = None) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await who(text, judge)
    assert 'error="invalid_token"' in caught.value.challenge
    return caught.value.reason


async def ask(
    registry: Registry, path: str, text: str | None, judge: BearerTokens | None = None, method: str = "GET"
) -> httpx.Response:
    headers = {} if text is None else {"Authorization": f"Bearer {text}"}
    async with client_of(RegistryApp(registry, access=judge or policy())) as client:
        return await client.request(method, path, headers=headers)
