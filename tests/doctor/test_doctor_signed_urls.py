"""The doctor fetches signed URLs as a client does, and tells why it could not."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from revstore_async.doctor import Finding, Verdict, examine
from revstore_async.driver import Capabilities, DriverWrapper
from revstore_drivers.memory import MemoryDriver

CONTENT = b"0123456789"  # what the check stores
SECRET = "signature-of-somebody"


class Signs(DriverWrapper):
    """A driver with URLs that lead to a server of the test."""

    def __init__(self, url: str) -> None:
        super().__init__(MemoryDriver())
        self._url = url

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, signed_urls=True)

    async def url_for(
        self, key: str, *, method: str = "GET", expires: timedelta = timedelta(minutes=20)
    ) -> str:
        return f"{self._url}/{key}?{SECRET}"


async def found(url: str) -> Finding:
    """Examine a store with URLs that begin like this; return the finding about them."""
    async with Signs(url) as driver:
        report = await examine(driver)
        (finding,) = [finding for finding in report.findings if finding.check == "signed URLs"]
        assert SECRET not in finding.detail
        assert report.options == ({"signed_urls": False} if finding.verdict is Verdict.BROKEN else {})
        return finding


@asynccontextmanager
async def serving(
    context: ssl.SSLContext | None = None, *, refusal: str = "", silent: bool = False
) -> AsyncIterator[str]:
    """Serve the content, or a refusal, or break off; yield the server's URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            part = "range: bytes=2-4" in head
            body = b"denied" if refusal else CONTENT[2:5] if part else CONTENT
            status = refusal or ("206 Partial Content" if part else "200 OK")
            lines = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            if not silent:
                writer.write(lines.encode() + (b"" if head.startswith("head") else body))
                await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        scheme = "http" if context is None else "https"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def own_authority(tmp_path: Path) -> Path:
    """Make a certificate that no machine trusts by itself; return its file, in which the key is too."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ours")])
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    file = tmp_path / "server.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    return file


def tls(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def test_urls_that_are_answered_are_honoured():
    async with serving() as url:
        assert await found(url) == Finding(
            "signed URLs", Verdict.HONOURED, "GET, a range, HEAD", "signed_urls"
        )


async def test_a_certificate_of_a_private_authority_says_nothing_of_the_urls(own_authority: Path):
    async with serving(tls(own_authority)) as url:
        finding = await found(url)
        assert finding.verdict is Verdict.UNDECIDED
        assert "127.0.0.1 is not trusted by this machine's own CAs" in finding.detail
        assert "self-signed certificate" in finding.detail.replace("self signed", "self-signed")
        assert "SSL_CERT_FILE" in finding.detail


async def test_an_authority_named_in_the_environment_is_trusted(
    own_authority: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(own_authority))
    async with serving(tls(own_authority)) as url:
        assert (await found(url)).verdict is Verdict.HONOURED


async def test_a_refusal_is_broken_and_tells_its_status():
    async with serving(refusal="403 Forbidden") as url:
        finding = await found(url)
        assert (finding.verdict, finding.detail) == (Verdict.BROKEN, "GET answered 403 with 6 bytes")


@pytest.mark.parametrize("refusal", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_an_answer_that_may_pass_decides_nothing(refusal: str):
    async with serving(refusal=refusal) as url:
        finding = await found(url)
        assert (finding.verdict, finding.detail) == (Verdict.UNDECIDED, f"GET answered {refusal[:3]}")


async def test_a_server_that_breaks_off_decides_nothing():
    async with serving(silent=True) as url:
        finding = await found(url)
        assert finding.verdict is Verdict.UNDECIDED
        assert "127.0.0.1 did not answer" in finding.detail


async def test_a_server_that_is_not_there_decides_nothing():
    async with serving() as url:
        pass
    finding = await found(url)
    assert finding.verdict is Verdict.UNDECIDED
    assert "127.0.0.1 did not answer" in finding.detail


@pytest.mark.parametrize("url", ["nowhere", "http://127.0.0.1/a b"])
async def test_a_url_that_is_none_is_broken_and_not_shown(url: str):
    assert (await found(url)).verdict is Verdict.BROKEN
