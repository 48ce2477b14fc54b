"""Every driver against a dict, on the real file system too."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings

from revstore_async.testing import DriverStateMachine
from revstore_drivers.filesystem import FilesystemDriver
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import FaultsDriver, LimitsDriver, TracingDriver


class MemoryMachine(DriverStateMachine):
    def make_driver(self):
        return MemoryDriver()

    def reopen(self, driver):
        return MemoryDriver(driver.store)


class WrappedMachine(DriverStateMachine):
    def make_driver(self):
        return TracingDriver(LimitsDriver(FaultsDriver(MemoryDriver()), 2))


class FilesystemMachine(DriverStateMachine):
    def make_driver(self):
        self.folder = Path(tempfile.mkdtemp(prefix="revstore-"))
        return FilesystemDriver(self.folder)

    def reopen(self, driver):
        return FilesystemDriver(driver.root)

    def teardown(self):
        try:
            super().teardown()
            assert [*self.folder.rglob(",*")] == []
        finally:
            shutil.rmtree(self.folder)


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestWrapped = WrappedMachine.TestCase
TestWrapped.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestFilesystem = FilesystemMachine.TestCase
TestFilesystem.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
