"""The conformance suite and its helpers, in the order that has pytest rewrite their asserts."""

from revstore_async.testing import DriverConformance
from revstore_async.testing.conformance.base import (
    children,
    keys_of,
    pattern,
    position_of,
    read_all,
    walk,
    write_all,
)

__all__ = [
    "DriverConformance",
    "children",
    "keys_of",
    "pattern",
    "position_of",
    "read_all",
    "walk",
    "write_all",
]
