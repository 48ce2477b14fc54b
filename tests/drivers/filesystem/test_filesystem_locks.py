"""Processes that share a folder, of which one stands still with a lock: the others go on, or are told in time."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from revstore_async.driver import IfAbsent, Source
from revstore_async.errors import Unavailable
from revstore_drivers.filesystem import FilesystemDriver
from tests.parts.standing_still import stopped

WORKER = Path(__file__).parent / "filesystem_worker.py"
PATHS = os.pathsep.join(path for path in sys.path if path)
KEY = "folder/key"


def _wait_until_stopped(worker: subprocess.Popen[str]) -> None:
    while not stopped(worker.pid):
        assert worker.poll() is None
        time.sleep(0.01)


def _start(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WORKER), "stand_still", str(root), KEY],
        env={**os.environ, "PYTHONPATH": PATHS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _unfinished(root: Path) -> int:
    return len([*root.rglob(",*")])


@asynccontextmanager
async def standing_still_with_the_lock(root: Path) -> AsyncIterator[subprocess.Popen[str]]:
    """Let another process write to the key, and stop it in the midst of that."""
    worker = await asyncio.to_thread(_start, root)
    try:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
        await asyncio.to_thread(_wait_until_stopped, worker)
        yield worker
    finally:
        worker.kill()
        await asyncio.to_thread(worker.communicate)


async def _commit(driver: FilesystemDriver) -> None:
    async with driver.open_writer(KEY) as writer:
        await writer.write(b"content")
        await writer.commit()


CHANGES: dict[str, Callable[[FilesystemDriver], Awaitable[object]]] = {
    "put": lambda driver: driver.put(KEY, b"content"),
    "put if absent": lambda driver: driver.put("folder/other", b"content", condition=IfAbsent()),
    "commit": _commit,
    "copy": lambda driver: driver.compose([Source("source", 6)], KEY),
    "delete": lambda driver: driver.delete(KEY),
    "delete_many": lambda driver: driver.delete_many([KEY]),
    "delete_prefix": lambda driver: driver.delete_prefix("folder"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_who_needs_the_lock_is_told_in_time_and_leaves_nothing(tmp_path: Path, change: str):
    async with FilesystemDriver(tmp_path, metadata_timeout=0.2) as driver:
        await driver.put(KEY, b"before")
        await driver.put("source", b"source")
        async with standing_still_with_the_lock(tmp_path) as worker:
            with pytest.raises(Unavailable, match="stand still") as caught:
                async with asyncio.timeout(20):  # without the deadline it is for ever
                    await CHANGES[change](driver)
            assert caught.value.retryable
            assert (await driver.get(KEY)).content == b"before"
            assert _unfinished(tmp_path) == 1, "there is more than the file of the one that stands still"
            worker.send_signal(signal.SIGCONT)
            assert await asyncio.to_thread(worker.wait, 20) == 0
        assert (await driver.get(KEY)).content == b"of the one that stood still"
        await CHANGES[change](driver)


async def test_who_waits_for_the_lock_keeps_no_thread_from_others(tmp_path: Path):
    async with FilesystemDriver(tmp_path, threads=2, metadata_timeout=60) as driver:
        await driver.put(KEY, b"before")
        async with standing_still_with_the_lock(tmp_path) as worker:
            waiting = [asyncio.create_task(driver.put(KEY, b"%d" % number)) for number in range(50)]
            async with asyncio.timeout(30):
                assert (await driver.get(KEY)).content == b"before"
                for number in range(200):  # of 64 locks for all keys, one of them would be that lock
                    await driver.put(f"elsewhere/{number}/key", b"")
            assert not any(task.done() for task in waiting)
            worker.send_signal(signal.SIGCONT)
            await asyncio.gather(*waiting)
        assert (await driver.get(KEY)).content in {b"%d" % number for number in range(50)}


async def test_who_is_cancelled_while_it_waits_leaves_nothing(tmp_path: Path):
    async with FilesystemDriver(tmp_path) as driver:
        await driver.put(KEY, b"before")
        async with standing_still_with_the_lock(tmp_path):
            for change in (driver.put(KEY, b"content"), _commit(driver), driver.delete(KEY)):
                task = asyncio.ensure_future(change)
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert _unfinished(tmp_path) == 1


# ---- a disk that hangs


READS: dict[str, Callable[[FilesystemDriver], Awaitable[object]]] = {
    "get": lambda driver: driver.get(KEY),
    "stat": lambda driver: driver.stat(KEY),
    "list": lambda driver: driver.list("folder"),
    "list_all": lambda driver: driver.list_all("folder"),
}


@pytest.mark.parametrize("read", READS)
async def test_a_disk_that_hangs_holds_no_read_of_metadata(
    tmp_path: Path, read: str, monkeypatch: pytest.MonkeyPatch
):
    answers = threading.Event()
    real = os.lstat

    def hanging(path: str) -> os.stat_result:
        answers.wait()
        return real(path)

    async with FilesystemDriver(tmp_path, threads=2, metadata_timeout=0.2) as driver:
        await driver.put(KEY, b"content")
        monkeypatch.setattr(os, "lstat", hanging)
        try:
            for _ in range(4):  # two have the threads, and two find none
                with pytest.raises(Unavailable):
                    async with asyncio.timeout(20):
                        await READS[read](driver)
        finally:
            answers.set()
        late = driver._open()[1]._abandoned
        assert len(late) == 2
        await asyncio.wait(late, timeout=20)
        await READS[read](driver)
