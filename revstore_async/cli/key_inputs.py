"""The keys and policies on the command line: files of private and public keys, of certificates, key IDs."""

from collections.abc import Sequence

import click

from ..errors import UnusableKey
from ..signatures import PublicKey, SigningKey
from ..trust import AnyOf, TrustedCertificates, TrustedKeys, TrustPolicy
from .inputs import is_file, read_document


def signing_key(path: str, passphrase: str | None) -> SigningKey:
    """Load a private key, PEM or JWK."""
    return _signing_key(read_document(path), passphrase)


def _signing_key(content: bytes, passphrase: str | None) -> SigningKey:
    if content.lstrip().startswith(b"{"):
        return SigningKey.from_jwk(content)
    return SigningKey.from_pem(content, passphrase.encode() if passphrase else None)


def public_key(path: str) -> PublicKey:
    """Load a public key, PEM or JWK; of a private key's file, its public half."""
    content = read_document(path)
    load = PublicKey.from_jwk if content.lstrip().startswith(b"{") else PublicKey.from_pem
    try:
        return load(content)
    except UnusableKey:
        return _signing_key(content, None).public


def trust_policy(arguments: Sequence[str]) -> TrustPolicy | None:
    """Make one policy of all --trust: key IDs, files of keys, files of CA certificates."""
    policies: list[TrustPolicy] = []
    for argument in arguments:
        if not is_file(argument):
            if argument.count(":") != 11:
                raise click.UsageError(f"--trust {argument!r} is neither a file nor a key ID")
            policies.append(TrustedKeys([argument]))
            continue
        content = read_document(argument)
        if b"-----BEGIN CERTIFICATE-----" in content:
            policies.append(TrustedCertificates(content))
        else:
            policies.append(TrustedKeys([public_key(argument)]))
    return AnyOf(*policies) if policies else None
