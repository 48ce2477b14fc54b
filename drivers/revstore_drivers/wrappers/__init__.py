"""Drivers around drivers; each does one thing.

A stack of several has this order, from the store outwards: the store's driver, `LatencyDriver` (tests),
`FaultsDriver` (tests), `LimitsDriver`, `TracingDriver`. The beginning of each module tells which operations it
counts.
"""

from .faults import At, Fault, FaultsDriver, Plan, RandomFaults, Rule, Script, Stopped, When
from .latency import LatencyDriver
from .limits import LimitsDriver
from .tracing import Request, TracingDriver

__all__ = [
    "At",
    "Fault",
    "FaultsDriver",
    "LatencyDriver",
    "LimitsDriver",
    "Plan",
    "RandomFaults",
    "Request",
    "Rule",
    "Script",
    "Stopped",
    "TracingDriver",
    "When",
]
