"""The `x5c` of a signature: the checks of its certificates that need no trusted authority.

`revstore_async.trust` decides whether to trust them. Source: RFC 7515, section 4.1.6.
"""

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from ..errors import ChainInvalid, ChainKeyMismatch, KeyUnsupported
from ..formats.strictjson import JSONValue
from .encoding import from_base64
from .keys import PublicKey

CHAIN_LIMIT: Final = 10
"""Certificates in one `x5c`."""

CHAIN_BYTES: Final = 1 << 15
"""Characters of the certificates in one `x5c`: no more fit in a signature. Parsed names take far more."""


def read_chain(value: JSONValue, member: str) -> tuple[bytes, ...]:
    """Read `x5c` to DER; the certificates are not parsed yet. `member` is its path.

    Raises:
        ChainInvalid: It is not an array of 1 to `CHAIN_LIMIT` strings, or they have more than `CHAIN_BYTES`.
        Base64NotCanonical: A string is not standard base64.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= CHAIN_LIMIT:
        raise ChainInvalid(member, f"it is not an array of 1 to {CHAIN_LIMIT} certificates")
    chain: list[bytes] = []
    left = CHAIN_BYTES
    for index, text in enumerate(value):
        if not isinstance(text, str):
            raise ChainInvalid(f"{member}[{index}]", "it is not a string")
        left -= len(text)
        if left < 0:
            raise ChainInvalid(member, f"its certificates have more than {CHAIN_BYTES} characters")
        chain.append(from_base64(text, f"{member}[{index}]"))
    return tuple(chain)


def read_leaf(chain: tuple[bytes, ...], member: str, *, beside: PublicKey | None = None) -> PublicKey:
    """Parse a chain's certificates and return the first one's key.

    Args:
        chain: The certificates in DER, leaf first.
        member: The chain's path, for errors.
        beside: The key of the jwk beside the chain, which must be the same.

    Raises:
        ChainInvalid: An element is not a certificate, or the first one's key can't sign here.
        ChainKeyMismatch: The first one's key is not `beside`.
    """
    certificates = []
    for index, der in enumerate(chain):
        try:
            certificate = x509.load_der_x509_certificate(der)
            _ = certificate.subject, certificate.issuer  # parsed only when they are asked for
            certificates.append(certificate)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ChainInvalid(f"{member}[{index}]", "it can't be parsed") from error
    try:
        key = PublicKey.from_certificate(certificates[0])
    except KeyUnsupported as error:
        raise ChainInvalid(f"{member}[0]", str(error)) from error
    if beside is not None and key != beside:
        raise ChainKeyMismatch(f"{member}[0]", key.kid, beside.kid)
    return key
