"""Equal copies of a store, one for each run that changes it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from secrets import token_hex
from shutil import rmtree

from .content import Item, write
from .stores import FileStore, S3Store, Store, Unfit, on_minio, registry_of

Items = Callable[[], Iterator[Item]]
"""Returns the keys and contents of a store, the same ones at each call."""
Copied = Callable[[], AbstractAsyncContextManager[Store]]
"""Makes a copy of a store, which lasts as long as the block."""


@asynccontextmanager
async def copying(store: Store, folder: Path, items: Items) -> AsyncIterator[Copied]:
    """Yield a function that makes copies of one store.

    The content is written once to a folder, or to a MinIO with its files in a folder, and each copy is one of that
    folder. On another S3 server each copy is written anew.

    Args:
        store: The store whose kind the copies have. On files and S3 they lie within it.
        folder: A new folder for the files of MinIO.
        items: The content.

    Raises:
        Unfit: A store of this kind can't be copied.
    """
    match store:
        case FileStore(within):
            filled = within / f"filled-{token_hex(4)}"
            try:
                await write(FileStore(filled), items())
                yield partial(_on_files, filled)
            finally:
                await _remove(filled)
        case S3Store(kind="minio"):
            try:
                async with on_minio(folder) as first:
                    await write(first, items())
                yield partial(_on_minio, folder)
            finally:
                await _remove(folder)
        case S3Store():
            yield partial(_on_s3, store, items)
        case _:
            raise Unfit(f"there are no copies of a store of the kind {store.kind}")


@asynccontextmanager
async def _on_files(filled: Path) -> AsyncIterator[Store]:
    async with _copy(filled) as copy:
        yield FileStore(copy)


@asynccontextmanager
async def _on_minio(filled: Path) -> AsyncIterator[Store]:
    async with _copy(filled) as copy, on_minio(copy) as store:
        yield store


@asynccontextmanager
async def _on_s3(store: S3Store, items: Items) -> AsyncIterator[Store]:
    place = replace(store, prefix=f"{store.prefix}/copy-{token_hex(4)}")
    try:
        await write(place, items())
        yield place
    finally:
        async with registry_of(place) as registry:
            await registry.driver.delete_prefix("docker")


@asynccontextmanager
async def _copy(filled: Path) -> AsyncIterator[Path]:
    copy = filled.with_name(f"copy-{token_hex(4)}")
    try:
        # Python's copytree takes several times as long.
        process = await asyncio.create_subprocess_exec("cp", "-a", str(filled), str(copy))
        if await process.wait():
            raise ChildProcessError(f"cp ended with {process.returncode}")
        await asyncio.to_thread(os.sync)  # else the disk is busy with it while the run is measured
        yield copy
    finally:
        await _remove(copy)


async def _remove(folder: Path) -> None:
    await asyncio.to_thread(rmtree, folder, ignore_errors=True)
