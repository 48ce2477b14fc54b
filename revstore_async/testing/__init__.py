"""For authors of drivers: the contract as tests and as a state machine, strategies, and a virtual clock.

`DriverConformance` and `DriverStateMachine` need the extra `testing`. This package imports them at their first use,
so that a program can use `revstore_async.testing.virtual_clock` without the extra.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conformance import DriverConformance
    from .state_machine import DriverStateMachine
    from .virtual_clock import VirtualClockLoop, run_on_virtual_clock

__all__ = ["DriverConformance", "DriverStateMachine", "VirtualClockLoop", "run_on_virtual_clock"]

_HOMES = {
    "DriverConformance": "conformance",
    "DriverStateMachine": "state_machine",
    "VirtualClockLoop": "virtual_clock",
    "run_on_virtual_clock": "virtual_clock",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOMES[name] != "virtual_clock":
        import pytest  # noqa: PLC0415 (the extra may not be installed)

        # Else a failed assert in there shows no values. It must be said before the modules are imported.
        pytest.register_assert_rewrite(f"{__name__}.conformance", f"{__name__}.state_machine")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
