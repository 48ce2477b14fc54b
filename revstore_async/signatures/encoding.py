"""Base64, read strictly: for each sequence of bytes, one text is accepted.

Other decoders skip characters outside the alphabet and ignore the last character's unused bits. Many texts then
mean the same bytes, and a changed signature blob could still verify.
"""

import base64
import binascii

from ..errors import Base64NotCanonical


def to_base64url(content: bytes) -> str:
    """Write base64url without padding, as RFC 7515 does."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def from_base64url(text: str, member: str) -> bytes:
    """Read base64url without padding.

    Raises:
        Base64NotCanonical: `to_base64url` would not have written the text; the error names the member.
    """
    try:
        content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:  # ValueError: characters beyond ASCII
        raise Base64NotCanonical(member) from error
    if to_base64url(content) != text:
        raise Base64NotCanonical(member)
    return content


def to_base64(content: bytes) -> str:
    """Write standard base64 with padding, as `x5c` holds certificates."""
    return base64.b64encode(content).decode()


def from_base64(text: str, member: str) -> bytes:
    """Read standard base64 with padding.

    Raises:
        Base64NotCanonical: `to_base64` would not have written the text; the error names the member.
    """
    try:
        content = base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise Base64NotCanonical(member) from error
    if to_base64(content) != text:
        raise Base64NotCanonical(member)
    return content
