"""Keys: read from and written to PEM and JWK, named as libtrust names them, and never shown."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from revstore_async import errors
from revstore_async.signatures import PublicKey, Signature, SigningKey, sign
from tests.parts.forging import PAYLOAD, entry, protected
from tests.parts.vectors import KEYS, chained_key, key, signers

STEMS = ("ec256", "ec384", "ec521", "rsa2048", "rsa3072")
ALGORITHMS = dict(zip(STEMS, ("ES256", "ES384", "ES512", "RS256", "RS256"), strict=True))
PEM = key("ec256").to_pem()


@pytest.mark.parametrize("stem", STEMS)
def test_a_key_comes_back_from_every_form(stem: str) -> None:
    mine = key(stem)
    assert mine.algorithm == ALGORITHMS[stem]
    for again in (
        SigningKey.from_pem(mine.to_pem()),
        SigningKey.from_pem(mine.to_pem(b"secret"), b"secret"),
        SigningKey.from_jwk(mine.to_jwk()),
    ):
        assert again == mine
        assert again.crypto.private_numbers() == mine.crypto.private_numbers()
    for public in (PublicKey.from_pem(mine.public.to_pem()), PublicKey.from_jwk(mine.public.to_jwk())):
        assert public == mine.public
        assert public.kid == mine.kid


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("stem", ["ec256", "rsa2048"])
def test_the_forms_of_openssl_are_read_encrypted_or_not(stem: str, form: PrivateFormat) -> None:
    mine = key(stem)
    plain = mine.crypto.private_bytes(Encoding.PEM, form, NoEncryption())
    locked = mine.crypto.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))
    assert SigningKey.from_pem(plain) == mine
    assert SigningKey.from_pem(locked, b"secret") == mine
    with pytest.raises(errors.PassphraseNeeded):
        SigningKey.from_pem(locked)
    with pytest.raises(errors.PassphraseWrong):
        SigningKey.from_pem(locked, b"wrong")


@pytest.mark.parametrize("kind", ["P-256", "P-384", "P-521", "RSA"])
def test_new_keys_sign(kind: str) -> None:
    new = SigningKey.generate(kind, bits=2048)  # type: ignore[arg-type]
    assert new.public.kind == kind
    assert sign(PAYLOAD, new).kid == new.kid


def test_the_kid_is_twelve_groups_of_four() -> None:
    groups = key("rsa2048").kid.split(":")
    assert len(groups) == 12
    assert all(len(group) == 4 and group.isalnum() and group.upper() == group for group in groups)


def test_a_jwk_is_written_with_its_members_sorted_and_read_whatever_its_kid() -> None:
    members = json.loads(key("ec256").public.to_jwk())
    assert list(members) == ["crv", "kid", "kty", "x", "y"]
    assert list(json.loads(key("rsa2048").public.to_jwk())) == ["e", "kid", "kty", "n"]
    members |= {"kid": "mine", "use": "sig", "x5t": "anything"}
    assert PublicKey.from_jwk(json.dumps(members).encode()) == key("ec256").public


@pytest.mark.parametrize("stem", STEMS)
def test_no_secret_is_shown(stem: str) -> None:
    mine = key(stem)
    private = json.loads(mine.to_jwk())["d"]
    for shown in (repr(mine), str(mine), f"{mine}", repr([mine]), repr(chained_key("ec256"))):
        assert private not in shown
        assert "PRIVATE" not in shown
        assert "PrivateKey" not in shown
    assert mine.kid in repr(mine)


def mixed(left: SigningKey, right: SigningKey) -> bytes:
    """A JWK with one key's public half and another one's private."""
    return json.dumps({**json.loads(left.to_jwk()), "d": json.loads(right.to_jwk())["d"]}).encode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", errors.KeyUnreadable),
        (b"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", errors.KeyUnreadable),
        (key("ec256").public.to_pem(), errors.KeyUnreadable),
        (
            ed25519.Ed25519PrivateKey.generate().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            errors.KeyUnsupported,
        ),
        (
            ec.generate_private_key(ec.SECP224R1()).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            errors.KeyUnsupported,
        ),
        (
            rsa.generate_private_key(public_exponent=65537, key_size=1024).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            errors.KeyUnsupported,
        ),
        (
            rsa.generate_private_key(public_exponent=3, key_size=2048).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            errors.KeyUnsupported,
        ),
    ],
    ids=["empty", "garbage", "public", "Ed25519", "P-224", "RSA 1024", "RSA exponent 3"],
)
def test_what_is_no_signing_key_in_pem(content: bytes, expected: type[errors.UnusableKey]) -> None:
    with pytest.raises(expected):
        SigningKey.from_pem(content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"x", errors.KeyUnreadable),
        (b"[]", errors.KeyUnreadable),
        (b'{"kty":"EC","kty":"EC"}', errors.KeyUnreadable),
        (b'{"kty":"EC"}', errors.KeyUnreadable),
        (b'{"kty":"EC","crv":"P-256","x":1,"y":[],"d":{}}', errors.KeyUnreadable),
        (b'{"kty":"EC","crv":"P-256","x":"!","y":"?","d":"A"}', errors.KeyUnreadable),
        (b'{"kty":"oct","k":"AAAA"}', errors.KeyUnsupported),
        (b'{"kty":"OKP","crv":"Ed25519","x":"AAAA"}', errors.KeyUnsupported),
        (key("ec256").public.to_jwk(), errors.KeyUnreadable),
        (mixed(signers()[0], signers()[1]), errors.KeyUnreadable),
        (mixed(key("rsa2048"), signers()[1]), errors.KeyUnreadable),
    ],
)
def test_what_is_no_signing_key_in_jwk(content: bytes, expected: type[errors.UnusableKey]) -> None:
    with pytest.raises(expected) as caught:
        SigningKey.from_jwk(content)
    if b'"d"' in content and caught.value.__suppress_context__:
        assert caught.value.__cause__ is None  # the cause could quote the key


def test_a_private_key_is_not_taken_for_a_public_one() -> None:
    with pytest.raises(errors.KeyUnreadable):
        PublicKey.from_pem(PEM)
    with pytest.raises(errors.KeyUnreadable):
        PublicKey.from_jwk(key("ec256").to_jwk())


def test_a_passphrase_for_a_key_that_is_not_encrypted_is_an_error() -> None:
    with pytest.raises(errors.PassphraseWrong):
        SigningKey.from_pem(PEM, b"secret")


def test_keys_that_would_not_be_accepted_are_not_made() -> None:
    with pytest.raises(errors.KeyUnsupported):
        SigningKey.generate("RSA", bits=1024)
    with pytest.raises(errors.KeyUnsupported):
        SigningKey.generate("secp256k1")  # type: ignore[arg-type]


def test_an_unsupported_key_tells_why_by_the_facts_of_its_error() -> None:
    with pytest.raises(errors.KeySizeRefused) as size:
        SigningKey.generate("RSA", bits=1024)
    assert (size.value.bits, size.value.least, size.value.most) == (1024, 2048, 8192)
    with pytest.raises(errors.CurveUnsupported) as curve:
        SigningKey.of(ec.generate_private_key(ec.SECP224R1()))
    assert (curve.value.curve, curve.value.curves) == ("secp224r1", ("P-256", "P-384", "P-521"))
    with pytest.raises(errors.KeyTypeUnsupported, match="Ed25519PrivateKey is neither EC nor RSA"):
        SigningKey.of(ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(errors.KeyExponentRefused) as exponent:
        SigningKey.of(rsa.generate_private_key(public_exponent=3, key_size=2048))
    assert exponent.value.exponent == 3
    for error in (size, curve, exponent):
        assert isinstance(error.value, errors.KeyUnsupported)
        assert str(error.value).startswith("the key can't be used: ")


def test_a_chain_must_begin_with_the_keys_own_certificate() -> None:
    chain = (KEYS / "ec256.chain.pem").read_bytes()
    assert len(key("ec256").with_chain(chain).certificates) == 2
    with pytest.raises(errors.CertificateMismatch):
        key("rsa2048").with_chain(chain)
    with pytest.raises(errors.KeyUnreadable):
        key("ec256").with_chain(b"x")
    with pytest.raises(errors.KeyUnreadable):
        key("ec256").with_chain([])


def test_a_chain_is_written_beside_the_jwk() -> None:
    signature = sign(PAYLOAD, chained_key("ec256"))
    assert len(signature.x5c) == 2
    assert signature.sortable
    assert list(json.loads(signature.blob)["header"]) == ["jwk", "alg", "x5c"]


def test_the_time_is_written_in_whole_seconds_of_utc() -> None:
    moment = datetime(2024, 2, 3, 5, 6, 7, 999999, tzinfo=timezone(timedelta(hours=2)))
    signature = sign(PAYLOAD, key("ec256"), time=moment)
    assert signature.time_text == "2024-02-03T03:06:07Z"
    assert signature.time == moment.replace(microsecond=0)
    assert signature.time.tzinfo is not None
    with pytest.raises(errors.InvalidArgument):
        sign(PAYLOAD, key("ec256"), time=moment.replace(tzinfo=None))
    before = datetime.now(UTC).replace(microsecond=0)
    assert before <= sign(PAYLOAD, key("ec256")).time <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-03T04:05:06Z", datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2024-02-03T04:05:06.5Z", datetime(2024, 2, 3, 4, 5, 6, 500000, tzinfo=UTC)),
        ("2024-02-03T04:05:06.123456789Z", datetime(2024, 2, 3, 4, 5, 6, 123456, tzinfo=UTC)),
        ("2024-02-03T04:05:06.000000001+02:00", datetime(2024, 2, 3, 2, 5, 6, tzinfo=UTC)),
    ],
)
def test_times_that_go_writes_are_read(text: str, expected: datetime) -> None:
    signature = Signature.from_members(entry(key("ec256"), protected(time=text)), "")
    assert signature.time == expected
    assert signature.time_text == text


@pytest.mark.parametrize(
    "text", ["", "now", "2024-02-03", "2024-02-03T04:05:06", "2024-13-03T04:05:06Z", "2024-02-03T24:05:06Z",
             "2024-02-03T04:05:06+25:00", "2024-02-03T04:05:06.1234567890Z", "٢٠٢٤-02-03T04:05:06Z",
             "0000-01-01T00:00:00Z", "2024-02-03T04:05:06Z\n"]
)  # fmt: skip
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(errors.TimeInvalid):
        Signature.from_members(entry(key("ec256"), protected(time=text)), "")
