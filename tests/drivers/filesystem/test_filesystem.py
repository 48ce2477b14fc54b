"""The file-system driver: the contract."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from revstore_async.driver import Driver
from revstore_async.testing import DriverConformance
from revstore_drivers.filesystem import FilesystemDriver


def temporary_files(root: Path) -> list[str]:
    return [str(path) for path in root.rglob(",*") if path.is_file()]


def open_files(root: Path) -> list[str]:
    found = []
    for link in [*Path("/proc/self/fd").iterdir()]:
        try:
            target = link.readlink()
        except FileNotFoundError:
            continue
        if target.is_relative_to(root):
            found.append(f"{link.name} -> {target}")
    return found


class TestFilesystemDriver(DriverConformance):
    @pytest.fixture
    async def driver(self, tmp_path):
        async with FilesystemDriver(tmp_path / "root") as driver:
            yield driver

    def reopen(self, driver: Driver) -> Driver:
        assert isinstance(driver, FilesystemDriver)
        return FilesystemDriver(driver.root)

    async def leftovers(self, driver: Driver) -> list[str]:
        assert isinstance(driver, FilesystemDriver)
        return [*temporary_files(driver.root), *open_files(driver.root)]

    async def fill(self, driver: Driver, keys: Iterable[str]) -> None:
        assert isinstance(driver, FilesystemDriver)
        for key in keys:
            path = driver.root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(key)
