"""The memory driver: a store that lives as long as its `MemoryStore` object. For tests and for trying out.

Each call lets the event loop run other tasks before it looks at the store, and after it changed the store. In
between it does not wait. No task sees a call half done, and yet tasks race as they do on a real store.
"""

from .driver import MemoryDriver
from .store import MemoryStore

__all__ = ["MemoryDriver", "MemoryStore"]
