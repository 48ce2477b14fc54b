"""Fetches by signed URL, as a client does that knows nothing of the driver and its options."""

import ssl
from http.client import HTTPException, InvalidURL
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from .judging import Broken, Undecided

_PASSES: Final = frozenset({429, 500, 502, 503, 504})


def fetch(url: str, method: str, headers: dict[str, str]) -> tuple[int, bytes, str | None]:
    """Return the status, the body and the length that is told. It blocks.

    Certificates are judged by this machine's own CAs.

    Raises:
        Broken: The URL is none.
        Undecided: No trusted server answered, or the answer says that a later try may help.
    """
    # No message has the URL in it: for a while it opens the object to anybody.
    try:
        status, body, length = _answer(url, method, headers)
    except (ValueError, InvalidURL) as error:
        raise Broken(f"{method} has a URL that is none") from error
    except (OSError, HTTPException) as error:
        raise Undecided(_said(error, urlsplit(url).hostname)) from error
    if status in _PASSES:
        raise Undecided(f"{method} answered {status}")
    return status, body, length


def _answer(url: str, method: str, headers: dict[str, str]) -> tuple[int, bytes, str | None]:
    request = Request(url, method=method, headers=headers)  # noqa: S310 (the driver's own URL)
    try:
        answer = urlopen(request, timeout=30, context=ssl.create_default_context())  # noqa: S310 (as above)
    except HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read(), refusal.headers["Content-Length"]
    with answer:
        return answer.status, answer.read(), answer.headers["Content-Length"]


def _said(error: OSError | HTTPException, host: str | None) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {host} is not trusted by this machine's own CAs ({reason.verify_message}); "
            "SSL_CERT_FILE in the environment names a file of CAs to trust"
        )
    return f"{host} did not answer: {str(reason) or type(reason).__name__}"
