"""Whose signatures count: by key, and by certificates that lead to an authority."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from revstore_async import errors
from revstore_async.signatures import Signature, SigningKey, sign, verify
from revstore_async.trust import AnyOf, TrustedCertificates, TrustedKeys, TrustPolicy
from tests.parts.forging import PAYLOAD, certificates, entry
from tests.parts.vectors import KEYS, chained_key, key, signers

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ROOT, MIDDLE, LEAF, STRANGER = signers()[:4]

Extensions = Sequence[tuple[x509.ExtensionType, bool]]
AUTHORITY: Extensions = [(x509.BasicConstraints(ca=True, path_length=None), True)]
NO_AUTHORITY: Extensions = [(x509.BasicConstraints(ca=False, path_length=None), True)]
LAST_AUTHORITY: Extensions = [(x509.BasicConstraints(ca=True, path_length=0), True)]
UNKNOWN: Extensions = [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"), True)]
CODE_SIGNING: Extensions = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), True)]
OTHER_NAMES: Extensions = [(x509.NameConstraints([x509.DNSName("a.example")], None), True)]
NAMED: Extensions = [(x509.SubjectAlternativeName([x509.DNSName("b.example")]), False)]


def usage(*, sign_data: bool, sign_certificates: bool) -> Extensions:
    flags = (sign_data, False, False, False, False, sign_certificates, False, False, False)
    return [(x509.KeyUsage(*flags), True)]


def certificate(
    subject: str, holder: SigningKey, issuer: str, by: SigningKey, extensions: Extensions = (), days: int = 10
) -> x509.Certificate:
    subject_name, issuer_name = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (subject, issuer)
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name)
        .issuer_name(issuer_name)
        .public_key(holder.public.crypto)
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + days * DAY)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(by.crypto, hashes.SHA256())


def pem(*chain: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in chain)


def trusted(
    *,
    root: Extensions = AUTHORITY,
    middle: Extensions = AUTHORITY,
    leaf: Extensions = (),
    leaf_days: int = 10,
    signer: SigningKey = MIDDLE,
    now: datetime = NOW,
    at_signing: bool = False,
) -> bool:
    """Sign with a chain root > middle > leaf made like this, and ask."""
    chain = [
        certificate("leaf", LEAF, "middle", signer, leaf, leaf_days),
        certificate("middle", MIDDLE, "root", ROOT, middle),
    ]
    signature = sign(PAYLOAD, LEAF.with_chain(chain), time=NOW)
    verify(PAYLOAD, [signature])
    authorities = pem(certificate("root", ROOT, "root", ROOT, root))
    return TrustedCertificates(authorities, at_signing=at_signing, clock=lambda: now).trusted(signature)


def test_a_chain_to_an_authority_is_trusted() -> None:
    assert trusted()
    assert trusted(leaf=usage(sign_data=True, sign_certificates=False))
    assert trusted(middle=[*AUTHORITY, *usage(sign_data=False, sign_certificates=True)])
    assert trusted(leaf=CODE_SIGNING)
    assert trusted(leaf=NAMED)


@pytest.mark.parametrize(
    "made",
    [
        {"leaf": usage(sign_data=False, sign_certificates=False)},
        {"middle": NO_AUTHORITY},
        {"middle": ()},
        {"middle": [*AUTHORITY, *usage(sign_data=True, sign_certificates=False)]},
        {"root": LAST_AUTHORITY},
        {"root": ()},
        {"leaf": UNKNOWN},
        {"middle": [*AUTHORITY, *UNKNOWN]},
        {"root": [*AUTHORITY, *OTHER_NAMES], "leaf": NAMED},
        {"signer": STRANGER},
        {"leaf_days": 0, "now": NOW + 2 * DAY},
        {"now": NOW + 100 * DAY},
        {"now": NOW - 2 * DAY},
    ],
    ids=str,
)
def test_a_broken_chain_is_not(made: dict[str, object]) -> None:
    assert not trusted(**made)  # type: ignore[arg-type]


def test_expired_certificates_count_where_the_time_of_signing_does() -> None:
    assert trusted(now=NOW + 100 * DAY, at_signing=True)


def test_the_committed_chains_lead_to_the_committed_root() -> None:
    policy = TrustedCertificates((KEYS / "root.pem").read_bytes())
    assert policy.trusted(sign(PAYLOAD, chained_key("ec256")))
    assert policy.trusted(sign(PAYLOAD, chained_key("rsa2048")))
    assert not policy.trusted(sign(PAYLOAD, key("ec256")))


def test_a_chain_alone_is_enough() -> None:
    made = entry(chained_key("ec256"), x5c=True)
    made["header"] = {"alg": "ES256", "x5c": certificates(chained_key("ec256"))}
    signature = Signature.from_members(made, "")
    assert TrustedCertificates((KEYS / "root.pem").read_bytes()).trusted(signature)
    assert TrustedKeys([key("ec256").public]).trusted(signature)


def test_a_root_of_the_same_name_is_not_the_root() -> None:
    impostor = TrustedCertificates(pem(certificate("root", STRANGER, "root", STRANGER, AUTHORITY)))
    assert not impostor.trusted(sign(PAYLOAD, chained_key("ec256")))


def test_keys_are_trusted_by_kid_or_as_they_are() -> None:
    mine = sign(PAYLOAD, key("ec256"))
    for policy in (
        TrustedKeys([key("ec256").kid]),
        TrustedKeys([key("rsa2048").public, key("ec256").public]),
    ):
        assert isinstance(policy, TrustPolicy)
        assert policy.trusted(mine)
        assert not policy.trusted(sign(PAYLOAD, key("ec384")))
        assert key("ec256").kid in repr(policy)
    assert not TrustedKeys([]).trusted(mine)


def test_any_of_several_policies() -> None:
    policy = AnyOf(TrustedKeys([key("ec384").kid]), TrustedCertificates((KEYS / "root.pem").read_bytes()))
    assert policy.trusted(sign(PAYLOAD, key("ec384")))
    assert policy.trusted(sign(PAYLOAD, chained_key("ec256")))
    assert not policy.trusted(sign(PAYLOAD, key("ec521")))
    assert not AnyOf().trusted(sign(PAYLOAD, key("ec384")))


@pytest.mark.parametrize("authorities", [b"", b"x", key("ec256").public.to_pem()])
def test_authorities_must_be_certificates(authorities: bytes) -> None:
    with pytest.raises(errors.KeyUnreadable):
        TrustedCertificates(authorities)
