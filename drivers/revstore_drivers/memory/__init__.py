"""The memory driver: a store that lives as long as its `MemoryStore` object. For tests and for trying out.

Everything of a call that matters happens between two points where the loop may run something else, so that no
call is half done for another task, and yet tasks race as they do on a real store.
"""

from .driver import MemoryDriver
from .store import MemoryStore

__all__ = ["MemoryDriver", "MemoryStore"]
