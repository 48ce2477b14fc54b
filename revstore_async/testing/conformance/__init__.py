"""The contract of drivers as tests: an author subclasses `DriverConformance` and gives it a driver.

    class TestMyDriver(DriverConformance):
        @pytest.fixture
        async def driver(self):
            async with MyDriver(...) as driver:
                yield driver

Each test's docstring is the sentence of the contract that it checks. The hooks of `base.Hooks` are optional. Each
of them lets the suite check more of the contract.
"""

import pytest

from .base import Hooks
from .cancellation import Cancellation
from .concurrency import Concurrency
from .conditions import Conditions
from .deletion import Deletion
from .keys import Keys
from .lifecycle import Lifecycle
from .listings import Listings
from .reads import Reads
from .writers import Writers
from .writes import Writes

__all__ = ["DriverConformance", "Hooks"]


@pytest.mark.asyncio
class DriverConformance(
    Keys,
    Reads,
    Writes,
    Conditions,
    Writers,
    Listings,
    Deletion,
    Cancellation,
    Concurrency,
    Lifecycle,
):
    """Every sentence of the contract, for the driver that the fixture `driver` gives."""
