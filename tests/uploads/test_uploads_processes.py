"""A process is killed in the middle of an append; another one goes on with its upload."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from revstore_async import Digest, Registry
from tests.parts.minio import running
from tests.parts.uploads import content_of, holds, left_of_uploads

SENDER = """
import asyncio, sys
from revstore_async import Registry
from tests.parts.minio import running
from tests.parts.uploads import content_of, pieces

async def main(url, id, begin, sizes):
    content = b"".join(content_of(*sizes))

    async def hanging():
        async for piece in pieces(content):
            yield piece
        print("all sent, and no end", flush=True)
        await asyncio.Event().wait()

    async with Registry.open(url) as registry:
        uploads = registry.repository("library/hello").uploads
        upload = await uploads.status(id)
        assert upload.offset == begin
        await uploads.append(id, hanging(), offset=begin)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), [int(size) for size in sys.argv[4:]]))
"""


def killed_midway(url: str, upload: str, begin: int, *sizes: int) -> None:
    """Append in another process, and kill it when it has sent all but the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", SENDER, url, upload, str(begin), *map(str, sizes)],
        cwd=Path(__file__).parents[2],
        env=os.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline() == "all sent, and no end\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=30) == -signal.SIGKILL


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store of its own: other tests would find the leftovers of a killed process on a server."""
    if request.param == "file":
        yield (tmp_path / "store").as_uri()
        return
    with running(tmp_path) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server.new_store_url()


def test_an_upload_whose_process_was_killed_twice_is_gone_on_with(url: str) -> None:
    large = (20 << 20) + 7
    first, second, third = content_of(100, large, 50)
    whole = first + second + third

    async def begin() -> str:
        async with Registry.open(url) as registry:
            uploads = registry.repository("library/hello").uploads
            upload = await uploads.start()
            await uploads.append(upload.id, first)
            return upload.id

    async def go_on(upload: str) -> None:
        async with Registry.open(url) as registry:
            repository = registry.repository("library/hello")
            assert (await repository.uploads.status(upload)).offset == len(first)
            await repository.uploads.append(upload, second, offset=len(first))
            await repository.uploads.finish(upload, Digest.of(whole), third, offset=len(first + second))
            assert await holds(repository, whole)
            await registry.purge_uploads(timedelta(0))
            assert await left_of_uploads(registry) == []

    upload = asyncio.run(begin())
    for _ in range(2):
        killed_midway(url, upload, len(first), large)
    asyncio.run(go_on(upload))
