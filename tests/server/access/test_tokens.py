"""Bearer tokens: each thing that can be wrong with one, its own test."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async import RepositoryName
from revstore_async.errors import Unauthenticated
from revstore_async.server import Action, Need, Principal
from revstore_async.server.access.key_sets import ALGORITHMS
from tests.parts.tokens import (
    ISSUER,
    KEY,
    KEYS,
    NOW,
    SERVICE,
    STRANGER,
    base64url,
    claims,
    forged,
    policy,
    public,
    reason_of,
    token,
    who,
)

# ---- what counts


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_a_token_by_each_algorithm_counts(alg: str):
    principal = await who(token(key=KEYS[alg], alg=alg))
    assert principal.name == "ann"
    name = RepositoryName("library/hello")
    assert principal.grants == {Need(Action.PULL, name), Need(Action.PUSH, name)}


async def test_a_token_that_names_no_key_counts_by_any_that_fits():
    judge = policy(public(STRANGER, KEY))
    assert (await who(token(kid=None), judge)).name == "ann"


@pytest.mark.parametrize("audience", [SERVICE, [SERVICE], ["other", SERVICE]])
async def test_the_service_is_the_audience_or_one_of_several(audience: Any):
    assert (await who(token(claims(aud=audience)))).name == "ann"


@pytest.mark.parametrize("absent", ["nbf", "iat", "jti", "sub", "access"])
async def test_what_a_token_need_not_claim(absent: str):
    principal = await who(token(claims(**{absent: None})))
    assert bool(principal.name) == (absent != "sub")
    assert bool(principal.grants) == (absent != "access")


@pytest.mark.parametrize("change", [{"exp": NOW - 29}, {"nbf": NOW + 29}, {"iat": NOW + 29}])
async def test_clocks_may_differ_by_the_leeway(change: dict[str, int]):
    assert (await who(token(claims(**change)))).name == "ann"


# ---- what does not


async def test_a_token_without_a_signature_is_refused():
    assert "algorithm" in await reason_of(forged({"alg": "none"}))


async def test_a_token_by_a_shared_secret_is_refused_even_with_the_public_key_as_secret():
    head = base64url(json.dumps({"alg": "HS256", "kid": "ES256"}).encode())
    signed = f"{head}.{base64url(json.dumps(claims()).encode())}"
    secret = KEY.export_to_pem()
    mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    assert "algorithm" in await reason_of(f"{signed}.{base64url(mac)}")


@pytest.mark.parametrize("alg", ["PS256", "RS1", "ES256K", "", None, 7, ["ES256"], "es256"])
async def test_a_token_by_another_algorithm_is_refused(alg: Any):
    assert "algorithm" in await reason_of(forged({"alg": alg, "kid": "ES256"}, b"signature"))


async def test_an_algorithm_that_is_not_allowed_here_is_refused():
    judge = policy(algorithms=["RS256"])
    assert (await who(token(key=KEYS["RS256"], alg="RS256"), judge)).name == "ann"
    assert "algorithm" in await reason_of(token(), judge)


async def test_a_key_that_does_not_sign_with_the_tokens_algorithm_is_refused():
    assert "does not sign" in await reason_of(token(key=KEYS["ES384"], alg="ES384", kid="ES256"))
    assert "does not sign" in await reason_of(token(key=KEYS["RS256"], alg="RS256", kid="ES256"))


async def test_a_key_is_held_to_the_algorithm_that_its_set_names():
    judge = policy(public(KEYS["RS256"], alg="RS512"))
    assert (await who(token(key=KEYS["RS256"], alg="RS512"), judge)).name == "ann"
    assert "does not sign" in await reason_of(token(key=KEYS["RS256"], alg="RS256"), judge)


async def test_a_token_by_another_key_of_the_same_name_is_refused():
    assert "signature" in await reason_of(token(key=STRANGER))


async def test_a_key_that_the_token_brings_along_has_no_weight():
    own = STRANGER.export_public(as_dict=True)
    assert "signature" in await reason_of(token(key=STRANGER, jwk=own))
    assert "signature" in await reason_of(token(key=STRANGER, jku="https://evil.test/keys"))


async def test_an_unknown_key_is_refused():
    assert "not known" in await reason_of(token(kid="another"))


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"b64": False}, {"crit": []}])
async def test_a_header_that_demands_an_extension_is_refused(header: dict[str, Any]):
    assert "extension" in await reason_of(forged({"alg": "ES256", "kid": "ES256"} | header, b"signature"))


@pytest.mark.parametrize("kind", ["JWE", "dpop+jwt", 7, None])
async def test_a_token_of_another_type_is_refused(kind: Any):
    assert "type" in await reason_of(forged({"alg": "ES256", "kid": "ES256", "typ": kind}, b"signature"))


async def test_a_kid_that_is_not_text_is_refused():
    assert "kid" in await reason_of(forged({"alg": "ES256", "kid": 1}, b"signature"))


@pytest.mark.parametrize("part", [0, 1])
async def test_a_token_whose_bytes_were_changed_is_refused(part: int):
    parts = token().split(".")
    parts[part] = base64url(base64.urlsafe_b64decode(parts[part] + "==").replace(b'"', b' "', 1))
    assert "signature" in await reason_of(".".join(parts))


async def test_a_signature_in_another_form_is_refused():
    good = token()
    head, signature = good.rsplit(".", 1)
    raw = base64.urlsafe_b64decode(signature + "==")
    for wrong in (raw[:-1], raw + b"\0", b"", b"\0" * 64, b"\0" + raw[:32] + b"\0" + raw[32:]):
        assert "signature" in await reason_of(f"{head}.{base64url(wrong)}")


@pytest.mark.parametrize(
    "change",
    [
        {"iss": None}, {"iss": "https://other.test"}, {"iss": ISSUER + "/"}, {"iss": [ISSUER]},
    ],
)  # fmt: skip
async def test_a_token_of_another_issuer_is_refused(change: dict[str, Any]):
    assert "issuer" in await reason_of(token(claims(**change)))


@pytest.mark.parametrize(
    "audience", [None, "other", [], ["other"], [[SERVICE]], {SERVICE: True}, SERVICE + " other"]
)
async def test_a_token_for_another_service_is_refused(audience: Any):
    assert "service" in await reason_of(token(claims(aud=audience)))


async def test_a_token_without_an_end_is_refused():
    assert "no exp" in await reason_of(token(claims(exp=None)))


@pytest.mark.parametrize("end", [NOW - 30, NOW - 3000, 0, -1, -1e300])
async def test_an_expired_token_is_refused(end: float):
    assert "expired" in await reason_of(token(claims(exp=end)))


@pytest.mark.parametrize("claim", ["nbf", "iat"])
async def test_a_token_of_the_future_is_refused(claim: str):
    assert claim in await reason_of(token(claims(**{claim: NOW + 31})))


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["1900000000", True, [NOW], {}])
async def test_a_time_that_is_none_is_refused(claim: str, value: Any):
    assert "not a time" in await reason_of(token(claims(**{claim: value})))


async def test_a_subject_that_is_not_text_is_refused():
    assert "sub" in await reason_of(token(claims(sub=7)))


@pytest.mark.parametrize("access", [{}, "pull", 1, True])
async def test_an_access_claim_that_is_no_list_is_refused(access: Any):
    assert "access" in await reason_of(token(claims(access=access)))


@pytest.mark.parametrize("access", [None, []])
async def test_an_access_claim_of_nothing_grants_nothing(access: Any):
    text = token(json.dumps(claims() | {"access": access}).encode())
    assert (await who(text)).grants == frozenset()


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "repository:a:pull",
        [],
        {},
        {"type": "repository"},
        {"type": "repository", "name": "b"},
        {"type": "repository", "name": "b", "actions": None},
        {"type": "repository", "name": "b", "actions": "pull"},
        {"type": "repository", "name": "b", "actions": [None, 1, {}, ["pull"]]},
        {"type": 1, "name": "b", "actions": ["pull"]},
        {"type": "repository", "name": None, "actions": ["pull"]},
    ],
)
async def test_an_odd_entry_grants_nothing_and_spoils_no_other(odd: Any):
    good = {"type": "repository", "name": "a", "actions": [None, "pull", 7]}
    principal = await who(token(claims(access=[odd, good, odd])))
    assert principal.grants == {Need(Action.PULL, RepositoryName("a"))}


@pytest.mark.parametrize("content", [b"[]", b'"text"', b"{", b'{"iss":1,"iss":2}', b"\xff", b'{"a":NaN}'])
async def test_a_payload_that_is_no_strict_json_object_is_refused(content: bytes):
    assert "payload" in await reason_of(token(content))


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a.b",
        "a.b.c.d",
        "..",
        token() + "=",
        token().replace(".", "..", 1),
        forged(b'{"alg":"ES256","alg":"none"}'),
    ],
)
async def test_what_is_no_token_at_all_is_refused(text: str):
    with pytest.raises(Unauthenticated):
        await who(text)


@given(st.text("abcAZ019-_.", min_size=1, max_size=200))
async def test_any_text_is_refused_and_never_an_error_of_ours(text: str):
    with pytest.raises(Unauthenticated):
        await who(text)


@given(
    st.dictionaries(
        st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "access"]),
        st.from_type(type(None))
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text()
        | st.lists(st.integers()),
    )
)
async def test_any_claims_make_a_principal_or_are_refused(changes: dict[str, Any]):
    try:
        principal = await who(token(claims() | changes))
    except Unauthenticated:
        return
    assert isinstance(principal, Principal)
