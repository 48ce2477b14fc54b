"""Where a server departs from the contract: what it does instead, as tests in place of the suite's."""

import pytest

from revstore_async.driver import Driver
from revstore_async.errors import Unavailable

from .suite import pattern, read_all, write_all


class MinIODeparts:
    """MinIO's; a class of tests puts it before `DriverConformance`."""

    @pytest.mark.parametrize("ways", [("a", "a/b"), ("a/b", "a"), ("a/b/c/d", "a/b"), ("a/b", "a/b/c/d")])
    async def test_a_key_that_is_a_folder_of_another(self, driver: Driver, ways: tuple[str, str]) -> None:
        """MinIO departs here: it takes and gives both, but its listings show only the shorter key."""
        earlier, later = ways
        await driver.put(earlier, b"earlier")
        await driver.put(later, b"later")
        assert (await driver.get(earlier)).content == b"earlier"
        assert (await driver.get(later)).content == b"later"

    async def test_reading_while_it_is_deleted(self, driver: Driver) -> None:
        """MinIO departs here: it locks what is read, so the reader gives way, and never mixes versions."""
        content = pattern(15 << 20)
        await write_all(driver, "key", content)
        async with driver.open_reader("key") as first:
            begin = await first.read(1000)
            await driver.put("key", b"another version")  # waits until the reader gives its connection back
            assert await read_all(driver, "key") == b"another version"
            with pytest.raises(Unavailable) as caught:
                await first.read()
        assert content.startswith(begin)
        assert caught.value.reason == "another version is there now"
