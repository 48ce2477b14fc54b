"""The file-system driver among several processes, some of which are killed."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from revstore_drivers.filesystem import FilesystemDriver

HERE = Path(__file__).parent
WORKER = HERE / "filesystem_worker.py"
PATHS = os.pathsep.join(path for path in sys.path if path)


def start(*arguments: str | Path | int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WORKER), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": PATHS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def hear(worker: subprocess.Popen[str]) -> str:
    """Return the next line that a worker says."""
    assert worker.stdout is not None
    return worker.stdout.readline()


def let_go(worker: subprocess.Popen[str]) -> None:
    """Let a worker begin that has said that it is ready."""
    assert worker.stdin is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()


def go(*workers: subprocess.Popen[str]) -> list[str]:
    """Let the workers begin together, and return their last lines."""
    for worker in workers:
        assert hear(worker) == "ready\n"
    for worker in workers:
        let_go(worker)
    said = []
    for worker in workers:
        out, _ = worker.communicate(timeout=60)
        assert worker.returncode == 0
        said.append(out.strip())
    return said


def end(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.close()
    worker.stdout.close()
    worker.wait()


@pytest.mark.parametrize("way", ["put", "commit"])
async def test_one_of_several_processes_wins(tmp_path, way) -> None:
    rounds = 40
    workers = [start("race", tmp_path, way, name, rounds) for name in "abcd"]
    said = await asyncio.to_thread(go, *workers)
    wins = [line.split() for line in said]
    assert sorted(int(number) for won in wins for number in won) == list(range(rounds))
    async with FilesystemDriver(tmp_path) as driver:
        for name, won in zip("abcd", wins, strict=True):
            for number in won:
                assert (await driver.get(f"race/{number}/key")).content == name.encode() * 1000


async def test_no_increment_of_any_process_is_lost(tmp_path) -> None:
    async with FilesystemDriver(tmp_path) as driver:
        await driver.put("counter", b"0")
        await asyncio.to_thread(go, *[start("count", tmp_path, 50) for _ in range(4)])
        assert (await driver.get("counter")).content == b"200"


async def test_a_deletion_and_writes_of_one_version_have_one_winner(tmp_path) -> None:
    rounds = 80
    async with FilesystemDriver(tmp_path) as driver:
        await driver.put("folder/key", b"0")
        workers = [start("replace", tmp_path, way, rounds) for way in ("delete", "delete", "put", "commit")]
        try:
            said = await asyncio.to_thread(go, *workers)
        finally:
            for worker in workers:  # where one failed, the others may wait for its next round for ever
                worker.kill()
                end(worker)
        wins = [[int(number) for number in line.split()] for line in said]
        assert sorted(number for won in wins for number in won) == list(range(rounds))
        assert wins[0] + wins[1], "no deletion won: there was no race"
        assert wins[2] + wins[3], "no write won: there was no race"
        assert (await driver.get("folder/key")).content == b"%d" % rounds
        assert [info.key for info in (await driver.list_all()).entries] == ["folder/key"]


async def test_folders_come_and_go_among_processes(tmp_path) -> None:
    workers = [start("churn", tmp_path, name, 100) for name in "abc"]
    said = await asyncio.to_thread(go, *workers)
    assert said == ["fine"] * 3
    async with FilesystemDriver(tmp_path) as driver:
        page = await driver.list_all()
        assert [info.key for info in page.entries] == [f"churn/deep/er/{name}" for name in "abc"]
    assert not [path for path in tmp_path.rglob(",*") if path.is_file()]


@pytest.mark.parametrize("way", ["put", "commit"])
async def test_a_killed_process_leaves_nothing_half_visible(tmp_path, way) -> None:
    for turn in range(5):
        worker = start("overwrite", tmp_path, way)
        try:
            assert await asyncio.to_thread(hear, worker) == "ready\n"
            let_go(worker)
            acknowledged = [int(await asyncio.to_thread(hear, worker))]
            await asyncio.sleep(0.02 * turn)
        finally:
            worker.send_signal(signal.SIGKILL)
            # Not communicate(): it would not see the lines that readline() has read ahead.
            assert worker.stdout is not None
            out = await asyncio.to_thread(worker.stdout.read)
            end(worker)
        acknowledged += [int(line) for line in out.split()]
        async with FilesystemDriver(tmp_path) as driver:
            file = await driver.get("folder/key")
            version = int(file.content[:8])
            assert file.content == b"%08d" % version * 100_000
            assert version in {acknowledged[-1], acknowledged[-1] + 1}
            assert [info.key for info in (await driver.list_all()).entries] == ["folder/key"]


async def test_a_writer_of_another_process_is_purged_once_it_is_killed(tmp_path) -> None:
    worker = start("hold", tmp_path)
    try:
        assert await asyncio.to_thread(hear, worker) == "ready\n"
        let_go(worker)
        assert await asyncio.to_thread(hear, worker) == "at work\n"
        async with FilesystemDriver(tmp_path) as driver:
            assert await driver.purge_writers(timedelta(0)) == 0
    finally:
        worker.kill()
        end(worker)
    async with FilesystemDriver(tmp_path) as driver:
        assert await driver.purge_writers(timedelta(0)) == 1
    assert [*tmp_path.iterdir()] == []
