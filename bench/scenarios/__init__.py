"""The scenarios, each a coroutine of a `Bench`, by name."""

from collections.abc import Awaitable, Callable, Mapping

from ..context import Bench
from .ceiling import run as run_ceiling
from .clients import run as run_clients
from .gc import run as run_gc
from .gc_online import run as run_gc_online
from .layers import run as run_layers
from .mixed import run as run_mixed
from .operations import run as run_operations
from .pages import run as run_pages
from .requests import run as run_requests
from .revisions import run as run_revisions

Scenario = Callable[[Bench], Awaitable[None]]

SCENARIOS: Mapping[str, Scenario] = {
    "revisions": run_revisions,
    "operations": run_operations,
    "pages": run_pages,
    "requests": run_requests,
    "ceiling": run_ceiling,
    "clients": run_clients,
    "layers": run_layers,
    "mixed": run_mixed,
    "gc": run_gc,
    "gc-online": run_gc_online,
}
"""In the order in which they run."""
