"""Policies that say which signatures a program trusts.

The engine stores every signature that verifies; a policy says which of them count for the embedding program. A
policy is any object with the method `trusted`; this module has two, by key and by certificate. The engine asks
it only about verified signatures: it judges the signer, not the content.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final, Protocol, runtime_checkable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from .arguments import check_series, check_type
from .errors import KeyUnreadable
from .signatures import PublicKey, Signature, load_certificates


def _may_sign(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.digital_signature:
        raise ValueError("the leaf's key may not be used for signatures")


def _may_certify(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("the issuer's key may not sign certificates")


_LEAF: Final = ExtensionPolicy.permit_all().may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign)
_AUTHORITY: Final = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)  # cA is checked by the verifier
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_certify)
)


@runtime_checkable
class TrustPolicy(Protocol):
    """Says whether a verified signature counts."""

    def trusted(self, signature: Signature) -> bool:
        """Return whether a trusted signer made this verified signature."""
        ...


class TrustedKeys:
    """Trusts signatures by these keys.

    Args:
        keys: Public keys, or libtrust key IDs (`ABCD:EFGH:...`).

    Raises:
        WrongType: It is no iterable of keys or IDs, such as a single one.
    """

    __slots__ = ("kids",)

    def __init__(self, keys: Iterable[PublicKey | str]) -> None:
        check_series("keys", keys, "public keys or key IDs")
        keys = tuple(keys)
        for key in keys:
            check_type("keys", key, PublicKey, str)
        self.kids: frozenset[str] = frozenset(key.kid if isinstance(key, PublicKey) else key for key in keys)

    def trusted(self, signature: Signature) -> bool:
        """Return whether the signature is by one of the keys."""
        return signature.kid in self.kids

    def __repr__(self) -> str:
        return f"TrustedKeys({sorted(self.kids)})"


class TrustedCertificates:
    """Trusts signatures with an `x5c` that leads from the signing key to one of these certificates.

    The chain is checked as RFC 5280 says: each certificate is signed by the next, issuers are CAs that may
    sign certificates, all are valid at one moment. The leaf need not name a host; if it limits the uses of its
    key (`keyUsage`), digital signatures must be one of them. Unknown critical extensions are refused.
    Revocation is not checked: this module does no I/O.

    The moment is now: an expired certificate no longer counts, since a later thief of its key could write any
    time into a signature. With `at_signing` the moment is the time that the signature claims. Signatures made
    while a certificate was valid then stay trusted for good. Choose that only if keys outlive their
    certificates safely.

    Args:
        authorities: CA certificates in PEM, one or more; text or bytes.
        at_signing: Check at the signature's time instead of now.
        clock: Returns the present time.

    Raises:
        KeyUnreadable: They are not certificates in PEM.
        WrongType: They are neither text nor bytes.
    """

    __slots__ = ("_at_signing", "_clock", "_store")

    def __init__(
        self,
        authorities: str | bytes,
        *,
        at_signing: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        certificates = load_certificates(authorities)
        if not certificates:
            raise KeyUnreadable("there is no certificate")
        self._store = Store(list(certificates))
        self._at_signing = at_signing
        self._clock = clock

    def trusted(self, signature: Signature) -> bool:
        """Return whether a chain leads from the signature's key to an authority."""
        if not signature.x5c:
            return False
        moment = signature.time if self._at_signing else self._clock()
        verifier = (
            PolicyBuilder()
            .store(self._store)
            .time(moment.astimezone(UTC).replace(tzinfo=None))
            .extension_policies(ee_policy=_LEAF, ca_policy=_AUTHORITY)
            .build_client_verifier()
        )
        try:
            leaf, *between = map(x509.load_der_x509_certificate, signature.x5c)
            verifier.verify(leaf, between)
        except (VerificationError, ValueError, UnsupportedAlgorithm):
            return False  # the answer is yes or no; the signature itself was verified before
        return True


class AnyOf:
    """Trusts signatures that one of these policies trusts.

    Args:
        policies: The policies, asked in this order until one trusts the signature.

    Raises:
        WrongType: One of them is no policy.
    """

    __slots__ = ("policies",)

    def __init__(self, *policies: TrustPolicy) -> None:
        for each in policies:
            check_type("policies", each, TrustPolicy)
        self.policies: tuple[TrustPolicy, ...] = policies

    def trusted(self, signature: Signature) -> bool:
        """Return whether one of the policies trusts the signature."""
        return any(policy.trusted(signature) for policy in self.policies)
