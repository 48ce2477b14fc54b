"""The keys that tokens are verified with: fixed, in a file, fetched."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jwcrypto.jwk import JWK

from revstore_async import Registry
from revstore_async.errors import InvalidArgument, InvalidKeySet, KeySetUnavailable
from revstore_async.server import BearerTokens
from revstore_async.server.access.key_sets import KeySet, key_source
from tests.parts.tokens import (
    ISSUER,
    JWKS,
    KEY,
    REALM,
    SERVICE,
    STRANGER,
    Clock,
    ask,
    policy,
    public,
    reason_of,
    token,
    who,
)


async def test_keys_in_a_file_are_read_again_and_what_was_verified_with_the_old_ones_is_forgotten(
    tmp_path: Path,
):
    path, time = tmp_path / "keys.json", Clock()
    path.write_text(json.dumps(public(KEY)))
    judge = policy(path, key_clock=time)
    assert (await who(token(), judge)).name == "ann"
    path.write_text(json.dumps(public(STRANGER)))
    os.utime(path, ns=(1, 1))
    time.now += 1.5
    assert "signature" in await reason_of(token(), judge)
    assert (await who(token(key=STRANGER), judge)).name == "ann"


class Issuer:
    """Fetches keys, and counts how often."""

    def __init__(self, *keys: JWK) -> None:
        self.keys: Any = public(*keys)
        self.fetched = 0

    async def __call__(self) -> Any:
        self.fetched += 1
        if isinstance(self.keys, Exception):
            raise self.keys
        return self.keys


def fetched(issuer: Issuer, time: Clock) -> BearerTokens:
    return policy(issuer, key_clock=time)


async def test_keys_are_fetched_at_first_use_and_after_an_interval():
    issuer, time = Issuer(KEY), Clock()
    judge = fetched(issuer, time)
    assert issuer.fetched == 0
    for _ in range(3):
        await who(token(), judge)
    assert issuer.fetched == 1
    time.now += 600
    await who(token(), judge)
    assert issuer.fetched == 2


async def test_an_unknown_key_has_keys_fetched_but_not_too_often():
    issuer, time = Issuer(KEY), Clock()
    judge = fetched(issuer, time)
    await who(token(), judge)
    new = JWK.generate(kid="new", kty="EC", crv="P-256")
    for _ in range(3):
        await reason_of(token(key=new), judge)
    assert issuer.fetched == 1
    issuer.keys = public(KEY, new)
    time.now += 10
    assert (await who(token(key=new), judge)).name == "ann"
    assert issuer.fetched == 2


async def test_keys_stay_in_force_when_no_new_ones_can_be_fetched():
    issuer, time = Issuer(KEY), Clock()
    judge = fetched(issuer, time)
    await who(token(), judge)
    failures: list[Any] = [OSError("no route"), {"keys": []}]
    for failure in failures:
        issuer.keys = failure
        time.now += 600
        assert (await who(token(), judge)).name == "ann"
    assert issuer.fetched == 3


async def test_without_any_keys_the_client_is_told_to_come_again(in_memory: Registry):
    issuer = Issuer()
    issuer.keys = OSError("no route to 10.1.2.3")
    judge = fetched(issuer, Clock())
    answer = await ask(in_memory, "/v2/", token(), judge)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "10.1.2.3" not in answer.text
    with pytest.raises(KeySetUnavailable):
        await who(token(), judge)
    assert issuer.fetched == 1


async def test_keys_may_be_fetched_as_json():
    issuer = Issuer()
    issuer.keys = json.dumps(public(KEY)).encode()
    assert (await who(token(), fetched(issuer, Clock()))).name == "ann"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "no list"),
        ({"keys": {}}, "no list"),
        ({"keys": [1]}, "no object"),
        ({"keys": []}, "no key"),
        (public(KEY, use="enc"), "no key"),
        (public(KEY, key_ops=["sign"]), "no key"),
        ({"keys": [KEY.export(as_dict=True)]}, "private"),
        ({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}, "type 'oct'"),
        ({"keys": [{"kty": "EC", "crv": "P-256"}]}, "can't be used"),
        ({"keys": [{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}]}, "can't be used"),
        (public(JWK.generate(kty="OKP", crv="X25519")), "can't be used"),
        (public(JWK.generate(kty="RSA", size=1024)), "can't be used"),
        (public(KEY, alg="RS256"), "signs with ES256"),
        (public(KEY, alg="none"), "signs with ES256"),
        (public(KEY, kid=7), "kid"),
        (public(KEY, key_ops="verify"), "key_ops"),
        ({"keys": [{"kty": ["EC"]}]}, "of type"),
        ({"keys": [{"kty": "x" * 9000}] * 50}, "no key for signatures"),
    ],
)
def test_a_key_set_that_can_not_be_used_says_why(members: dict[str, Any], reason: str):
    with pytest.raises(InvalidKeySet, match=reason) as caught:
        KeySet.read("keys.json", json.dumps(members).encode())
    assert "c2VjcmV0" not in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (1, "no object"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "type 'oct'"),
        ({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}, "type 'AKP'"),
        ({}, "of type"),
        ({"kty": "EC", "crv": "P-256"}, "can't be used"),
        ({"kty": "EC", "crv": ["P-256"], "x": 1, "y": {}}, "can't be used"),
        ({"kty": "RSA", "n": "", "e": ""}, "can't be used"),
        (STRANGER.export(as_dict=True), "private"),
        (public(JWK.generate(kty="RSA", size=1024))["keys"][0], "can't be used"),
        (public(STRANGER, alg="HS256")["keys"][0], "'HS256'"),
        (public(STRANGER, kid=7)["keys"][0], "kid"),
        (public(STRANGER, key_ops=7)["keys"][0], "key_ops"),
    ],
)
async def test_a_key_that_can_not_be_used_is_left_out_and_spoils_no_other(
    odd: Any, reason: str, caplog: pytest.LogCaptureFixture
):
    good = public(KEY)["keys"]
    for entries in ([odd, *good], [*good, odd]):
        caplog.clear()
        keys = KeySet.of("keys.json", {"keys": entries})
        assert [key.kid for key in keys.keys] == [good[0].get("kid")]
        (line,) = caplog.messages
        assert "keys.json" in line
        assert reason in line
        assert "c2VjcmV0" not in line
    judge = policy({"keys": [odd, *good]})
    assert (await who(token(), judge)).name == "ann"
    assert await reason_of(token(key=STRANGER), judge)


def test_a_key_set_that_is_not_json_is_refused(tmp_path: Path):
    (tmp_path / "keys.json").write_text("keys")
    with pytest.raises(InvalidKeySet):
        policy(tmp_path / "keys.json")


def test_keys_by_url_are_refused_with_what_to_give_instead():
    with pytest.raises(InvalidArgument, match="async callable"):
        key_source("https://issuer.test/keys")


@pytest.mark.parametrize("algorithms", [[], ["none"], ["HS256"], ["ES256", "HS256"]])
def test_algorithms_outside_of_the_list_are_refused(algorithms: list[str]):
    with pytest.raises(InvalidArgument):
        policy(algorithms=algorithms)


@pytest.mark.parametrize("wrong", ["issuer", "service", "realm"])
def test_an_empty_name_is_refused(wrong: str):
    given = {"issuer": ISSUER, "service": SERVICE, "realm": REALM} | {wrong: ""}
    with pytest.raises(InvalidArgument):
        BearerTokens(given["issuer"], given["service"], JWKS, given["realm"])
