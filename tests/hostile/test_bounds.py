"""The server bounds input of unknown clients before it reads it, and the error names the bound."""

import json

import pytest
from starlette.requests import HTTPConnection

from revstore_async.errors import ChainInvalid, TooManySignatures, Unauthenticated
from revstore_async.server.access.credentials import CREDENTIALS_LIMIT, credentials_of
from revstore_async.signatures import Signature, sign, verify
from revstore_async.signatures.certificates import CHAIN_BYTES, read_chain
from revstore_async.signatures.encoding import to_base64, to_base64url
from revstore_async.signatures.verification import VERIFIED_BYTES
from tests.parts.documents import key
from tests.parts.tokens import KEYS, base64url, claims, forged, policy, reason_of, token, who


def credentials(value: bytes) -> str | None:
    connection = HTTPConnection({"type": "http", "headers": [(b"authorization", value)]})
    return credentials_of(connection, "Bearer", "Bearer")


def test_credentials_are_no_longer_than_a_bound():
    longest = b"Bearer " + b"a" * (CREDENTIALS_LIMIT - 7)
    assert credentials(longest) == "a" * (CREDENTIALS_LIMIT - 7)
    with pytest.raises(Unauthenticated, match="16385 characters, over the limit of 16384"):
        credentials(longest + b"a")


async def test_a_token_of_any_length_is_refused_before_it_is_read():
    with pytest.raises(Unauthenticated, match="over the limit"):
        await who("a" * 10_000_000)


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"ES256","x":[' + b"1," * 100 + b"1]}",
        b'{"alg":"ES256","x":[' + b"[]," * 100 + b"1]}",
        b'{"alg":"ES256",' + b",".join(b'"%d":1' % each for each in range(100)) + b"}",
    ],
)
async def test_the_header_of_a_token_holds_few_values(header: bytes):
    assert "header holds more than 64 values" in await reason_of(forged(header))


async def test_the_header_of_a_token_may_hold_a_chain():
    text = token(x5c=[base64url(b"x" * 1000)] * 4)
    assert (await who(text)).name == "ann"


async def test_a_token_may_hold_hundreds_of_grants():
    access = [{"type": "repository", "name": f"a/{each}", "actions": ["pull"]} for each in range(150)]
    text = token(claims(access=access), KEYS["RS256"], "RS256")
    assert len((await who(text, policy())).grants) == 150


@pytest.mark.parametrize("count", [1, 3])
def test_a_chain_is_bounded_before_a_certificate_is_read(count: int):
    certificate = to_base64(b"0" * (CHAIN_BYTES // count))
    assert count * len(certificate) > CHAIN_BYTES
    with pytest.raises(ChainInvalid, match="more than 32768 characters"):
        read_chain([certificate] * count, "x5c")
    short = to_base64(b"0" * (CHAIN_BYTES // 4 * 3 // count - 2))
    assert len(read_chain([short] * count, "x5c")) == count


def test_signatures_are_verified_up_to_so_many_bytes_of_payload_together():
    payload = json.dumps({"a": "x" * (1 << 20)}).encode()
    good = sign(payload, key(0))
    limit = VERIFIED_BYTES // len(payload)
    entry = json.loads(good.blob)
    others = [
        Signature.from_members(entry | {"signature": to_base64url(each.to_bytes(64, "big"))}, "")
        for each in range(limit + 1)
    ]
    with pytest.raises(TooManySignatures) as caught:
        verify(payload, others)
    assert (caught.value.count, caught.value.limit) == (limit + 1, limit)
    verify(payload, [good])
