"""The logs of `revstore serve`, when their reader stands still: requests go on, and signals are obeyed."""

import http.client
import json
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.parts.serve_command import COMMAND, Serving, command, environment

PATIENCE = 20
"""Seconds that a client waits for an answer: only for one that would never come."""


@contextmanager
def unread(
    folder: Path, *options: str, together: bool = False, program: Sequence[str] = COMMAND
) -> Iterator[Serving]:
    """Run the command with its output in pipes, of which only the first line is read."""
    process = subprocess.Popen(
        command("--port", "0", "--store", "memory:", *options, program=program),
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
        text=True,
    )
    try:
        said = json.loads(process.stdout.readline())
        yield Serving(process, said["url"], said["store"], said["try"], folder / "stderr")
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def ask(server: Serving, count: int, path: str = "/v2/" + "a" * 1000) -> None:
    """Send requests one after another; a line of the access log for each has some 1,300 bytes."""
    with closing(http.client.HTTPConnection(server.host, timeout=PATIENCE)) as connection:
        for _ in range(count):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 404


PIPE = 100
"""Requests whose lines a pipe does not hold."""
QUEUE = 5_000
"""Requests whose lines the server does not hold either."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("together", [False, True])
def test_a_reader_that_stands_still_stops_neither_requests_nor_signals(
    tmp_path: Path, number: signal.Signals, together: bool
):
    with unread(tmp_path, together=together) as server:
        ask(server, PIPE)
        assert server.end(number) == (0 if number == signal.SIGTERM else 130)


NOISY = """
import logging, sys, traceback, warnings
from revstore_async.cli import main
from revstore_async.server import RegistryApp

warnings.simplefilter("always")
real = RegistryApp._call

async def noisy(self, scope, receive):
    logging.getLogger("uvicorn.error").error("x" * 1000)
    logging.getLogger("of.a.driver").warning("x" * 1000)
    warnings.warn("x" * 1000, stacklevel=1)
    print("x" * 1000, file=sys.stderr)
    return await real(self, scope, receive)

RegistryApp._call = noisy
main()
"""


@pytest.mark.parametrize("together", [False, True])
def test_no_writer_to_standard_error_waits_for_a_reader_that_stands_still(tmp_path: Path, together: bool):
    with unread(tmp_path, together=together, program=("-c", NOISY)) as server:
        ask(server, PIPE)
        assert server.end() == 0


def test_lines_that_find_no_room_are_counted_and_told_in_their_place(tmp_path: Path):
    with unread(tmp_path) as server:
        ask(server, QUEUE)
        read = [json.loads(server.process.stdout.readline()) for _ in range(PIPE)]  # the reader comes back
        server.process.send_signal(signal.SIGTERM)
        read += [json.loads(line) for line in server.process.stdout]
        assert server.process.wait(PATIENCE) == 0
    dropped = [line["dropped"] for line in read if "dropped" in line]
    assert len(dropped) == 1
    assert dropped[0] > 0
    assert len(read) - 1 + dropped[0] == QUEUE
    assert all(re.fullmatch(r"\d{4}-.*\+00:00", line["time"]) for line in read)


def test_a_reader_that_leaves_stops_nothing(tmp_path: Path):
    with unread(tmp_path) as server:
        server.process.stdout.close()
        ask(server, 2 * PIPE)
        assert server.end() == 0
