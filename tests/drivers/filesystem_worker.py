"""A process of test_filesystem_processes: it says that it is ready, waits for its go, and works on a folder."""

import asyncio
import sys

from revstore_async.driver import IfAbsent, IfMatch
from revstore_async.errors import ConditionFailed
from revstore_drivers.filesystem import FilesystemDriver


async def write(driver, way, key, content, condition=None):
    if way == "put":
        return await driver.put(key, content, condition=condition)
    async with driver.open_writer(key) as writer:
        half = len(content) // 2
        await writer.write(content[:half])
        await writer.write(content[half:])
        return await writer.commit(condition=condition)


async def race(driver, way, name, rounds):
    won = []
    for number in range(int(rounds)):
        try:
            await write(driver, way, f"race/{number}/key", name.encode() * 1000, IfAbsent())
        except ConditionFailed:
            continue
        won.append(str(number))
    print(*won)


async def count(driver, times):
    for _ in range(int(times)):
        while True:
            file = await driver.get("counter")
            try:
                content = b"%d" % (int(file.content) + 1)
                await driver.put("counter", content, condition=IfMatch(file.info.etag))
            except ConditionFailed:
                continue
            break


async def churn(driver, name, times):
    key = f"churn/deep/er/{name}"
    for number in range(int(times)):
        await write(driver, "put" if number % 2 else "commit", key, b"content")
        assert (await driver.get(key)).content == b"content"
        await driver.delete(key)
    await driver.put(key, b"last")
    print("fine")


async def overwrite(driver, way):
    version = 0
    while True:
        await write(driver, way, "folder/key", b"%08d" % version * 100_000)
        print(version, flush=True)
        version += 1


async def hold(driver):
    async with driver.open_writer("folder/key") as writer:
        await writer.write(b"x" * 3_000_000)
        state = await writer.suspend()
    print(state.hex(), flush=True)
    async with driver.open_writer("folder/key", resume=state) as writer:
        # The first kill finds it with bytes after the state, but under the state's name: nothing was dropped.
        await writer.write(b"y" * 2_000_000)
        print("at work", flush=True)
        await asyncio.sleep(60)


async def main(what, folder, *arguments):
    async with FilesystemDriver(folder) as driver:
        print("ready", flush=True)
        sys.stdin.readline()
        await {"race": race, "count": count, "churn": churn, "overwrite": overwrite, "hold": hold}[what](
            driver, *arguments
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
