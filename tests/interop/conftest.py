"""An application over each store."""

import pytest

from revstore_async import Registry
from revstore_async.server import RegistryApp


@pytest.fixture
def app(registry: Registry) -> RegistryApp:
    return RegistryApp(registry)
