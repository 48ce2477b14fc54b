"""A stream that never waits for its reader: what it holds, drops and tells."""

import logging
import os
import select
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from revstore_async.server.observing.log_stream import LogStream, output_that_never_waits


def gap(lines: int) -> str:
    return f"{lines} dropped\n"


@dataclass
class Pipe:
    """A pipe of 4 KiB whose reader reads only when told to."""

    reader: int
    writer: int

    def fill(self) -> int:
        """Fill it to the last byte, and return how many bytes that took."""
        os.set_blocking(self.writer, False)
        size = 0
        try:
            while True:
                size += os.write(self.writer, b"-")
        except BlockingIOError:
            os.set_blocking(self.writer, True)
        return size

    def skip(self, size: int) -> None:
        while size:
            size -= len(os.read(self.reader, size))

    def line(self) -> str:
        text = b""
        while not text.endswith(b"\n"):
            text += os.read(self.reader, 1)
        return text.decode()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    made = Pipe(reader, writer)
    yield made
    for descriptor in (made.reader, made.writer):
        if descriptor >= 0:
            os.close(descriptor)


def test_lines_come_out_in_order(pipe: Pipe):
    stream = LogStream(pipe.writer, gap)
    for number in range(100):
        print(number, "ä", file=stream)
    assert stream.end()
    assert [pipe.line() for _ in range(100)] == [f"{number} ä\n" for number in range(100)]


def test_lines_over_the_limit_are_told_between_those_before_and_those_after(pipe: Pipe):
    filled = pipe.fill()
    stream = LogStream(pipe.writer, gap, limit=30)
    for text in ("123456789\n", "a\nb\nc\n", "x" * 20 + "\n", "y" * 20 + "\n", "short\n"):
        stream.write(text)
    pipe.skip(filled)
    assert [pipe.line() for _ in range(6)] == ["123456789\n", "a\n", "b\n", "c\n", "2 dropped\n", "short\n"]
    stream.write("after\n")
    stream.end()
    assert pipe.line() == "after\n"


def test_the_end_does_not_wait_for_a_reader_that_stands_still(pipe: Pipe):
    pipe.fill()
    stream = LogStream(pipe.writer, gap)
    stream.write("held\n")
    assert not stream.end(0.01)
    assert stream.write("too late\n") == 9
    os.close(pipe.reader)  # the thread ends with the pipe
    pipe.reader = -1
    assert stream.end()


def test_lines_that_the_descriptor_refuses_are_told_when_it_takes_lines_again(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
):
    full, write = threading.Event(), os.write
    refused = threading.Semaphore(0)

    def writing(descriptor: int, data: bytes) -> int:
        if descriptor == pipe.writer and not full.is_set():
            refused.release()
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", writing)
    stream = LogStream(pipe.writer, gap)
    stream.write("one\ntwo\n")
    refused.acquire()
    full.set()
    stream.write("three\n")
    assert stream.end()
    assert [pipe.line(), pipe.line()] == ["2 dropped\n", "three\n"]


def test_a_descriptor_that_does_not_block_is_waited_for(pipe: Pipe, monkeypatch: pytest.MonkeyPatch):
    filled = pipe.fill()
    os.set_blocking(pipe.writer, False)
    waits, real = threading.Event(), select.select

    def selecting(*arguments: object) -> object:
        waits.set()
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(select, "select", selecting)
    stream = LogStream(pipe.writer, gap)
    stream.write("here\n")
    waits.wait()
    pipe.skip(filled)
    assert pipe.line() == "here\n"
    assert stream.end()


def test_a_finaliser_may_write_while_its_thread_writes(pipe: Pipe):
    stream = LogStream(pipe.writer, gap)

    class Finalised(str):
        __slots__ = ()

        def encode(self, *_: str) -> bytes:
            stream.write("within\n")
            return b"around\n"

    with stream._lock:
        stream.write(Finalised("around\n"))
    assert stream.end()
    assert [pipe.line(), pipe.line()] == ["within\n", "around\n"]


def test_both_outputs_stand_in_for_what_the_program_writes_and_come_back(
    capfd: pytest.CaptureFixture[str],
):
    before = sys.stdout, sys.stderr
    with capfd.disabled(), Path(os.devnull).open("w") as null:
        sys.stdout = sys.stderr = null
        with output_that_never_waits(gap, gap):
            assert isinstance(sys.stdout, LogStream)
            assert sys.stdout is sys.stderr  # one file, one thread, one order
        assert sys.stdout is sys.stderr is null
        sys.stdout, sys.stderr = before


def test_an_output_of_the_programs_own_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    for own in (None, logging.LoggerAdapter(logging.getLogger())):
        monkeypatch.setattr(sys, "stdout", own)
        monkeypatch.setattr(sys, "stderr", own)
        with output_that_never_waits(gap, gap):
            assert sys.stdout is own
