"""`Host`: one, and well-formed (RFC 9112, 3.2)."""

from pathlib import Path

import pytest

from tests.parts.raw_clients import connected, read_to_end, status_line
from tests.parts.serve_command import serving

CASES = {
    b"HTTP/1.1\r\n": 400,
    b"HTTP/1.1\r\nHost: a\r\nHost: a\r\n": 400,
    b"HTTP/1.1\r\nHost: a\r\nhost: b\r\n": 400,
    b"HTTP/1.0\r\nHost: a\r\nHost: b\r\n": 400,
    b"HTTP/1.1\r\nHost: a, b\r\n": 400,
    b"HTTP/1.1\r\nHost: a/b\r\n": 400,
    b"HTTP/1.1\r\nHost: user@a\r\n": 400,
    b"HTTP/1.1\r\nHost: a b\r\n": 400,
    b"HTTP/1.1\r\nHost: a:b\r\n": 400,
    b"HTTP/1.1\r\nHost: http://a\r\n": 400,
    b"HTTP/1.1\r\nHost: [::1\r\n": 400,
    b"HTTP/1.1\r\nHost: \xff\r\n": 400,
    b"HTTP/1.0\r\n": 200,
    b"HTTP/1.1\r\nHost: a\r\n": 200,
    b"HTTP/1.1\r\nHost: registry.example:5000\r\n": 200,
    b"HTTP/1.1\r\nHost: [::1]:5000\r\n": 200,
    b"HTTP/1.1\r\nHost: 127.0.0.1\r\n": 200,
    b"HTTP/1.1\r\nhOST:a_b-c.d.\r\n": 200,
}


def test_a_request_has_one_host_that_is_one(tmp_path: Path):
    with serving(tmp_path) as server:
        for head, status in CASES.items():
            with connected(server) as connection:
                connection.sendall(b"GET /v2/ " + head + b"Connection: close\r\n\r\n")
                answer = read_to_end(connection)
            assert status_line(answer) == status, head
            if status == 400:
                assert b'"code": "UNSUPPORTED", "message": "header Host' in answer
        assert server.end() == 0
        assert [line["status"] for line in server.lines()] == list(CASES.values())


@pytest.mark.parametrize("target", [b"http://other.example/v2/", b"/v2/"])
def test_a_target_with_a_host_is_answered_as_one_without(tmp_path: Path, target: bytes):
    with serving(tmp_path) as server, connected(server) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert status_line(read_to_end(connection)) == 200
