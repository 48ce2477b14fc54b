"""How `revstore serve` ends: requests under way, signals, clients that take too long."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from tests.parts.serve_command import Serving, environment, serving


@contextmanager
def uploading(server: Serving) -> Iterator[socket.socket]:
    """Begin an upload whose body is sent half; 10 of 20 bytes."""
    host, port = server.host.rsplit(":", 1)
    begun = Request(f"{server.url}/v2/a/blobs/uploads/", method="POST")
    with urlopen(begun) as answer:
        location = answer.headers["Location"]
    with socket.create_connection((host, int(port))) as connection:
        head = f"PATCH {location} HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: 20\r\n\r\n"
        connection.sendall(head.encode() + b"0123456789")
        connection.settimeout(20)
        yield connection


def wait_until_closed(server: Serving) -> None:
    """Wait until nobody listens any more."""
    host, port = server.host.rsplit(":", 1)
    while True:
        try:
            socket.create_connection((host, int(port))).close()
        except ConnectionError:
            return


def test_a_request_under_way_is_finished_after_sigterm(tmp_path: Path):
    with serving(tmp_path) as server, uploading(server) as connection:
        server.process.send_signal(signal.SIGTERM)
        wait_until_closed(server)
        connection.sendall(b"0123456789")
        assert connection.recv(100).startswith(b"HTTP/1.1 202 ")
        assert server.process.wait(20) == 0


def test_a_client_that_stands_still_is_given_up_after_the_named_time(tmp_path: Path):
    with serving(tmp_path, "--body-timeout", "1") as server, uploading(server) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_request_that_takes_too_long_is_cancelled_and_the_upload_goes_on(tmp_path: Path):
    with serving(tmp_path, "--grace", "1") as server, uploading(server) as connection:
        server.process.send_signal(signal.SIGTERM)
        assert connection.recv(100).startswith(b"HTTP/1.1 503 ")
        assert server.process.wait(20) == 0
        (*_, line) = server.lines()
    assert (line["method"], line["received"], line["status"]) == ("PATCH", 10, 503)
    assert "cut off" in server.log.read_text()
    with serving(tmp_path) as server, urlopen(f"{server.url}{line['path']}") as status:
        assert status.status == 204
        offset = int(status.headers["Range"].removeprefix("0-")) + 1  # of nothing at all, it is 0-0
        assert offset in {1, 10}


def test_an_interrupt_ends_it_in_order_with_130(tmp_path: Path):
    with serving(tmp_path) as server:
        assert server.end(signal.SIGINT) == 130


def test_a_second_interrupt_does_not_wait(tmp_path: Path):
    with serving(tmp_path, "--grace", "1000") as server, uploading(server):
        server.process.send_signal(signal.SIGINT)
        wait_until_closed(server)
        assert server.end(signal.SIGINT) == 130


def test_help_needs_neither_the_server_nor_a_store(tmp_path: Path):
    script = (
        "import sys\n"
        "sys.modules['starlette'] = None\n"
        "sys.argv = ['revstore', 'serve', *sys.argv[1:]]\n"
        "from revstore_async.cli import main\n"
        "main()"
    )
    for arguments, code, said in ((["--help"], 0, "--htpasswd"), ([], 2, "revstore-async[server]")):
        ran = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env=environment(tmp_path) | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == code
        assert said in ran.stdout + ran.stderr
