"""The `jwk` of a signature, read strictly: a public key, its `kid`, and nothing else.

Each text is the only way to write its number, so a key has one form. Source: RFC 7518, section 6.
"""

from ..errors import (
    CurvePointInvalid,
    EntryMemberAbsent,
    EntryMemberUnknown,
    EntryMemberWrong,
    KeyIDAbsent,
    KeyIDMismatch,
    KeyUnsupported,
    PrivateMember,
    RSAExponentRefused,
    RSAModulusRefused,
)
from ..formats.strictjson import JSONValue
from .encoding import from_base64url
from .keys import CURVES, RSA_BITS, RSA_EXPONENTS, PublicKey, build_ec, build_rsa

_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MEMBERS = {"EC": ("crv", "kid", "kty", "x", "y"), "RSA": ("e", "kid", "kty", "n")}


def read_jwk(value: JSONValue, member: str) -> PublicKey:
    """Read the `jwk` of a signature's header, `member` being its path.

    Raises:
        InvalidSignature: Each fault has its own class.
    """
    if not isinstance(value, dict):
        raise EntryMemberWrong(member, "it is not an object")
    for name in value:
        if name in _PRIVATE:
            raise PrivateMember(f"{member}.{name}")
    kty = value.get("kty")
    if kty is None:
        raise EntryMemberAbsent(f"{member}.kty")
    names = _MEMBERS.get(kty) if isinstance(kty, str) else None
    if names is None:
        raise EntryMemberWrong(f"{member}.kty", "it is neither EC nor RSA")
    texts = _texts(value, member, names)
    key = _read_ec(texts, member) if kty == "EC" else _read_rsa(texts, member)
    if texts["kid"] != key.kid:
        raise KeyIDMismatch(f"{member}.kid", texts["kid"], key.kid)
    return key


def _texts(value: dict[str, JSONValue], member: str, names: tuple[str, ...]) -> dict[str, str]:
    if "kid" not in value:
        raise KeyIDAbsent(f"{member}.kid")
    texts: dict[str, str] = {}
    for name, text in value.items():
        if name not in names:
            raise EntryMemberUnknown(f"{member}.{name}")
        if not isinstance(text, str):
            raise EntryMemberWrong(f"{member}.{name}", "it is not a string")
        texts[name] = text
    for name in names:
        if name not in texts:
            raise EntryMemberAbsent(f"{member}.{name}")
    return texts


def _read_ec(texts: dict[str, str], member: str) -> PublicKey:
    curve = CURVES.get(texts["crv"])
    if curve is None:
        raise EntryMemberWrong(f"{member}.crv", f"it is not one of {', '.join(CURVES)}")
    point: list[int] = []
    for name in ("x", "y"):
        coordinate = from_base64url(texts[name], f"{member}.{name}")
        if len(coordinate) != curve.width:
            raise EntryMemberWrong(f"{member}.{name}", f"it is not {curve.width} bytes wide")
        point.append(int.from_bytes(coordinate, "big"))
    try:
        return build_ec(curve, *point)
    except KeyUnsupported as error:
        raise CurvePointInvalid(member, curve.name) from error


def _read_rsa(texts: dict[str, str], member: str) -> PublicKey:
    modulus = _number(texts["n"], f"{member}.n")
    if not RSA_BITS[0] <= modulus.bit_length() <= RSA_BITS[1]:
        raise RSAModulusRefused(f"{member}.n", modulus.bit_length())
    exponent = _number(texts["e"], f"{member}.e")
    if not RSA_EXPONENTS[0] <= exponent <= RSA_EXPONENTS[1] or exponent % 2 == 0:
        raise RSAExponentRefused(f"{member}.e", exponent)
    try:
        return build_rsa(modulus, exponent)
    except KeyUnsupported as error:
        raise EntryMemberWrong(f"{member}.n", "it can't be a modulus") from error


def _number(text: str, member: str) -> int:
    content = from_base64url(text, member)
    if not content or content[0] == 0:
        raise EntryMemberWrong(member, "it is not the shortest form of a positive number")
    return int.from_bytes(content, "big")
