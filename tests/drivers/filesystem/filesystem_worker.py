"""A process of test_filesystem_processes: it says that it is ready, waits for its go, and works on a folder."""

import asyncio
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable

from revstore_async.driver import Condition, FileInfo, IfAbsent, IfMatch
from revstore_async.errors import ConditionFailed, KeyNotFound
from revstore_drivers.filesystem import FilesystemDriver


async def write(
    driver: FilesystemDriver, way: str, key: str, content: bytes, condition: Condition | None = None
) -> FileInfo:
    if way == "put":
        return await driver.put(key, content, condition=condition)
    async with driver.open_writer(key) as writer:
        half = len(content) // 2
        await writer.write(content[:half])
        await writer.write(content[half:])
        return await writer.commit(condition=condition)


async def race(driver: FilesystemDriver, way: str, name: str, rounds: str) -> None:
    won = []
    for number in range(int(rounds)):
        try:
            await write(driver, way, f"race/{number}/key", name.encode() * 1000, IfAbsent())
        except ConditionFailed:
            continue
        won.append(str(number))
    print(*won)


async def count(driver: FilesystemDriver, times: str) -> None:
    for _ in range(int(times)):
        while True:
            file = await driver.get("counter")
            try:
                content = b"%d" % (int(file.content) + 1)
                await driver.put("counter", content, condition=IfMatch(file.info.etag))
            except ConditionFailed:
                continue
            break


async def replace(driver: FilesystemDriver, way: str, rounds: str) -> None:
    """Delete or replace the version that opens a round; the winner stores the version of the next round."""
    key, won, took = "folder/key", [], 0.0
    while True:
        try:
            file = await driver.get(key)
        except KeyNotFound:  # deleted just now: the next round is about to begin
            continue
        number = int(file.content)
        if number >= int(rounds):
            break
        condition, following = IfMatch(file.info.etag), b"%d" % (number + 1)
        try:
            if way == "delete":
                # A write takes its time before it is judged: without waiting, the deletion would mostly win.
                await asyncio.sleep(random.choice([0.0, random.random() * took]))
                await driver.delete(key, condition=condition)
            else:
                await write(driver, way, key, following, condition)
        except ConditionFailed:
            continue
        won.append(str(number))
        if way == "delete":
            begun = time.monotonic()
            await driver.put(key, following, condition=IfAbsent())
            took = time.monotonic() - begun
    print(*won)


async def churn(driver: FilesystemDriver, name: str, times: str) -> None:
    key = f"churn/deep/er/{name}"
    for number in range(int(times)):
        await write(driver, "put" if number % 2 else "commit", key, b"content")
        assert (await driver.get(key)).content == b"content"
        await driver.delete(key)
    await driver.put(key, b"last")
    print("fine")


async def overwrite(driver: FilesystemDriver, way: str) -> None:
    version = 0
    while True:
        await write(driver, way, "folder/key", b"%08d" % version * 100_000)
        print(version, flush=True)
        version += 1


async def hold(driver: FilesystemDriver) -> None:
    async with driver.open_writer("folder/key") as writer:
        await writer.write(b"x" * 3_000_000)
        print("at work", flush=True)
        await asyncio.sleep(60)


async def stand_still(driver: FilesystemDriver, key: str) -> None:
    """Stop in the midst of a write, with the lock; go on when another process says so."""
    rename = os.rename

    def stopping(*paths: str) -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # before this thread goes on
        rename(*paths)

    os.rename = stopping  # type: ignore[assignment]
    await driver.put(key, b"of the one that stood still")
    print("done")


WORK: dict[str, Callable[..., Awaitable[None]]] = {
    "stand_still": stand_still,
    "race": race,
    "count": count,
    "replace": replace,
    "churn": churn,
    "overwrite": overwrite,
    "hold": hold,
}


async def main(what: str, folder: str, *arguments: str) -> None:
    async with FilesystemDriver(folder) as driver:
        print("ready", flush=True)
        sys.stdin.readline()
        await WORK[what](driver, *arguments)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
