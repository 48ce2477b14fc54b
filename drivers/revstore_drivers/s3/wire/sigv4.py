"""Signatures of requests: AWS Signature Version 4, in headers, with the body's digest or without it.

botocore's own signer takes 41 µs of processor time, a third of what all else of a GET takes; this takes 7. Its
signature equals botocore's of the same request, byte for byte, which a test holds. The source is "Create a
signed AWS API request" of AWS's Identity and Access Management User Guide.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import digest
from typing import Final, Protocol
from urllib.parse import quote

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
"""What stands for a body's digest that is not made."""


class Credentials(Protocol):
    """Credentials that don't change any more, as botocore freezes them."""

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...

    @property
    def token(self) -> str | None: ...


def encoded_path(path: str) -> str:
    """Return a path as it is sent and signed: all bytes escaped but the unreserved ones and `/`."""
    return quote(path, safe="/")


def encoded_query(parameters: Mapping[str, str]) -> str:
    """Return a query as it is sent and signed: escaped, and in order."""
    if not parameters:
        return ""
    return "&".join(
        f"{name}={value}"
        for name, value in sorted(
            (quote(name, safe=""), quote(text, safe="")) for name, text in parameters.items()
        )
    )


@dataclass(slots=True)
class Signer:
    """Signs requests to one region's S3.

    Attributes:
        region: The region.
    """

    region: str
    _secret: str = field(default="", repr=False)
    _day: str = ""
    _key: bytes = field(default=b"", repr=False)
    _second: int = -1
    _stamp: str = ""

    def sign(
        self,
        credentials: Credentials,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        payload: str = UNSIGNED,
    ) -> None:
        """Add the signature to the headers of a request.

        Args:
            credentials: Whose request it is.
            method: Its method.
            path: Its path, escaped.
            query: Its query, escaped and in order.
            headers: Those to be signed, `host` among them, by names in lower case and with texts that have no
                spaces around them; they are added to.
            payload: The body's SHA-256 in hexadecimal digits, where it is signed too.
        """
        stamp = self._now()
        day = stamp[:8]
        headers["x-amz-content-sha256"] = payload
        headers["x-amz-date"] = stamp
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        names = sorted(headers)
        listed = ";".join(names)
        lines = "".join([f"{name}:{headers[name]}\n" for name in names])
        request = f"{method}\n{path}\n{query}\n{lines}\n{listed}\n{payload}"
        scope = f"{day}/{self.region}/s3/aws4_request"
        text = f"{ALGORITHM}\n{stamp}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = digest(self._key_of(credentials.secret_key, day), text.encode(), "sha256").hex()
        whose = f"{credentials.access_key}/{scope}"
        headers["authorization"] = (
            f"{ALGORITHM} Credential={whose}, SignedHeaders={listed}, Signature={signature}"
        )

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
            self._second = second
        return self._stamp

    def _key_of(self, secret: str, day: str) -> bytes:
        """Return the key of a day, which is derived in four steps."""
        if (secret, day) != (self._secret, self._day):
            key = f"AWS4{secret}".encode()
            for step in (day, self.region, "s3", "aws4_request"):
                key = digest(key, step.encode(), "sha256")
            self._secret, self._day, self._key = secret, day, key
        return self._key
