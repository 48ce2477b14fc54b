"""Disks that are small, full or read only: real ones, in memory, where the system lets a test mount them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .programs import missing


@contextmanager
def small_disk(folder: Path, *, size: str = "4m", files: int = 1000) -> Iterator[Path]:
    """Mount an empty disk of a size, for so many files, at a new folder, for as long as the block lasts."""
    folder.mkdir()
    options = f"size={size},nr_inodes={files}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        missing(f"a disk can't be mounted ({mounted.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_read_only(disk: Path) -> None:
    """Let nothing be written to a mounted disk any more."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Write to a disk until it takes neither another byte nor another file."""
    try:
        with (disk / ",filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        pass
    try:
        for number in range(100_000):
            os.mknod(disk / f",filler-{number}")
    except OSError:
        return
    raise AssertionError("the disk has room for any number of files")
