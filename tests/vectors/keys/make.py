"""Make the keys and certificates that the vectors are signed with. For tests only: they are no secret.

Run from the root of the repository: `python tests/vectors/keys/make.py`. Everything signed with the old keys
must be made again after that.
"""

import datetime as dt
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from revstore_async.signatures import SigningKey

HERE = Path(__file__).parent
SIGNERS = 20
BEGIN, END = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2120, 1, 1, tzinfo=dt.UTC)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject: str, key: SigningKey, issuer: str, by: SigningKey, *, authority: bool) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public.crypto)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(END)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    return builder.sign(by.crypto, hashes.SHA256()).public_bytes(Encoding.PEM)


def main() -> None:
    kinds = {"ec256": "P-256", "ec384": "P-384", "ec521": "P-521"}
    keys = {stem: SigningKey.generate(kind) for stem, kind in kinds.items()}  # type: ignore[arg-type]
    keys |= {f"rsa{bits}": SigningKey.generate("RSA", bits=bits) for bits in (2048, 3072)}
    for stem, key in keys.items():
        (HERE / f"{stem}.pem").write_bytes(key.to_pem())

    root, between = (SigningKey.of(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
    middle = certificate("between", between, "root", root, authority=True)
    (HERE / "root.pem").write_bytes(certificate("root", root, "root", root, authority=True))
    for stem in ("ec256", "rsa2048"):
        leaf = certificate(stem, keys[stem], "between", between, authority=False)
        (HERE / f"{stem}.chain.pem").write_bytes(leaf + middle)

    signers = [json.loads(SigningKey.generate().to_jwk()) for _ in range(SIGNERS)]
    (HERE / "signers.json").write_text(json.dumps({"keys": signers}, indent=2) + "\n")


if __name__ == "__main__":
    main()
