"""SIGHUP, and TLS: what is read anew, and what a client of the other protocol is told."""

import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509

from tests.parts.certificates import certificate
from tests.parts.passwords import line
from tests.parts.raw_clients import SECONDS, connected, read_to_end, send_and_read, status_line
from tests.parts.serve_command import COMMAND, Serving, serving, status_of

WITHOUT_UVLOOP = (
    "-c",
    "import sys; sys.modules['uvloop'] = None; from revstore_async.cli import main; main()",
)
LOOPS = pytest.mark.parametrize("program", [COMMAND, WITHOUT_UVLOOP], ids=["uvloop", "asyncio"])
GET = b"GET /v2/ HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n\r\n"


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def secured(server: Serving) -> Iterator[ssl.SSLSocket]:
    """Open a connection by TLS, whoever the server is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with connected(server) as plain, context.wrap_socket(plain) as connection:
        yield connection


def serial_number(server: Serving) -> int:
    with secured(server) as connection:
        presented = connection.getpeercert(binary_form=True)
    assert presented is not None
    return x509.load_der_x509_certificate(presented).serial_number


def reload(server: Serving, times: int) -> str:
    """Send SIGHUP, and return the log when it was obeyed so often."""
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.log.read_text().count("SIGHUP: ") == times)
    return server.log.read_text()


@LOOPS
def test_a_new_certificate_is_served_after_sighup_and_a_wrong_one_never(
    tmp_path: Path, program: tuple[str, ...]
):
    pem = certificate(tmp_path, serial=1)
    with serving(tmp_path, "--tls-cert", str(pem), program=program) as server, secured(server) as before:
        assert serial_number(server) == 1
        certificate(tmp_path, serial=2)
        assert serial_number(server) == 1
        assert "can't be used" not in reload(server, 1)
        assert serial_number(server) == 2
        for times, wrong in enumerate((b"", b"nonsense", pem.read_bytes()[:-200]), 2):
            pem.write_bytes(wrong)
            told = reload(server, times)
            assert (
                told.count("the certificate can't be used, the one from before stays in force") == times - 1
            )
            assert serial_number(server) == 2
        pem.unlink()
        reload(server, 5)
        assert serial_number(server) == 2
        certificate(tmp_path, serial=3)
        reload(server, 6)
        assert serial_number(server) == 3
        before.sendall(GET)  # a connection keeps the certificate that it has
        assert read_to_end(before).startswith(b"HTTP/1.1 200")
        before.close()  # else the server waits for the client's end of TLS, as long as for a head
        assert server.end() == 0


def test_users_are_read_anew_at_sighup_though_the_file_seems_unchanged(tmp_path: Path):
    users = tmp_path / "users"

    def write(name: str) -> None:
        users.write_text(f"{line(name)}\n")

    write("ann")
    with serving(tmp_path, "--htpasswd", "users") as server:
        reload(server, 1)
        write("bob")
        reload(server, 2)
        assert status_of(f"{server.url}/v2/", headers={"Authorization": "Basic Ym9iOnNlY3JldA=="}) == 200
        assert status_of(f"{server.url}/v2/", headers={"Authorization": "Basic YW5uOnNlY3JldA=="}) == 401


def test_sighup_ends_no_server_and_says_what_takes_a_restart(tmp_path: Path):
    with serving(tmp_path) as server:
        assert "options take a restart" in reload(server, 1)
        for _ in range(20):
            server.process.send_signal(signal.SIGHUP)
        assert status_of(f"{server.url}/v2/") == 200
        assert server.end() == 0


HUNG_UP_AT_THE_START = """
import os, signal
from revstore_async.cli import main, serving
put_together = serving.serve_until_told
def hung_up(*arguments):
    os.kill(os.getpid(), signal.SIGHUP)
    put_together(*arguments)
serving.serve_until_told = hung_up
main()
"""


def test_sighup_does_not_end_a_server_that_is_not_ready_yet(tmp_path: Path):
    with serving(tmp_path, program=("-c", HUNG_UP_AT_THE_START)) as server:
        assert status_of(f"{server.url}/v2/") == 200
        assert server.end() == 0


@LOOPS
def test_plain_http_on_a_tls_port_is_told(tmp_path: Path, program: tuple[str, ...]):
    pem = certificate(tmp_path)
    with serving(tmp_path, "--tls-cert", str(pem), program=program) as server:
        for begin in (GET, b"GET /" + b"a" * 100_000, b"PUT / HTTP/1.1\r\n"):
            with connected(server) as connection:
                connection.sendall(begin)
                answer = read_to_end(connection)
            assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert answer.endswith(b"\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
        assert serial_number(server) == 1
        assert server.log.read_text().count("\n") == 1


@pytest.mark.parametrize(
    ("begin", "endless"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"\x16\x03\x01\x00\xf4\x01\x00", b"", id="half a handshake"),
        pytest.param(b"\x16\x03\x01\x3f\xff\x01\x00\xff\xff\x03\x03", b"a", id="a handshake without end"),
        pytest.param(b"\x00\x01\x02", b"", id="nonsense"),
        pytest.param(b"\x80", b"a", id="nonsense without end"),
    ],
)
def test_a_handshake_that_does_not_come_to_its_end_is_closed(tmp_path: Path, begin: bytes, endless: bytes):
    pem = certificate(tmp_path)
    with serving(tmp_path, "--tls-cert", str(pem), "--head-timeout", "1") as server:
        with connected(server) as connection:
            answer = send_and_read(connection, begin, endless, 1 << 24)
        assert b"HTTP" not in answer
        assert serial_number(server) == 1
        assert server.end() == 0


def test_bounds_hold_by_tls_too(tmp_path: Path):
    pem = certificate(tmp_path)
    with serving(tmp_path, "--tls-cert", str(pem), "--head-timeout", "1") as server:
        with secured(server) as connection:
            connection.sendall(b"GET /v2/ HTTP/1.1\r\nX: " + b"a" * 70_000)
            assert status_line(read_to_end(connection)) == 431
        with secured(server) as connection:
            connection.sendall(b"GET /v2/ HTT")
            assert status_line(read_to_end(connection)) == 408


@LOOPS
def test_handshakes_give_way_and_leave_no_handle(tmp_path: Path, program: tuple[str, ...]):
    pem = certificate(tmp_path)
    options = ("--tls-cert", str(pem), "--connections", "10", "--head-timeout", "60")
    with serving(tmp_path, *options, program=program) as server:
        assert serial_number(server) == 1
        folder = Path(f"/proc/{server.process.pid}/fd")
        before = len(list(folder.iterdir()))
        with ExitStack() as stack:
            opened: list[socket.socket] = []
            for number in range(40):
                opened.append(stack.enter_context(connected(server)))
                opened[-1].sendall(b"\x16\x03\x01" if number % 2 else b"")
            assert serial_number(server) == 1
            assert read_to_end(opened[0]) == b""
            assert len(list(folder.iterdir())) <= before + 10
        wait_until(lambda: len(list(folder.iterdir())) <= before)
        assert server.end() == 0


def client_hello() -> bytes:
    """Return the whole first message of a handshake."""
    output = ssl.MemoryBIO()
    handshake = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), output, server_hostname="registry")
    with suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    return output.read()


@LOOPS
def test_clients_by_tls_without_a_request_under_way_do_not_hold_up_the_end(
    tmp_path: Path, program: tuple[str, ...]
):
    pem = certificate(tmp_path)
    with serving(tmp_path, "--tls-cert", str(pem), "--head-timeout", "60", program=program) as server:
        folder = Path(f"/proc/{server.process.pid}/fd")
        before = len(list(folder.iterdir()))
        with ExitStack() as stack:
            for begin in (b"", b"\x16\x03\x01", client_hello()):
                stack.enter_context(connected(server)).sendall(begin)
            stack.enter_context(secured(server))
            answered = stack.enter_context(secured(server))
            answered.sendall(GET.replace(b"Connection: close\r\n", b""))
            assert answered.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
            wait_until(lambda: len(list(folder.iterdir())) >= before + 5)
            assert server.end() == 0
