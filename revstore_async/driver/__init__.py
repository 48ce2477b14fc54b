"""The storage driver: the interface under the engine. See `drivers/README.md` for how to write one."""

from .contract import LIST_LIMIT, Driver, Reader, Writer, check_sources
from .keys import KEY_LIMIT, PART_LIMIT, check_key, check_prefix
from .opening import GROUP, open_driver, without_secrets
from .paging import entries
from .values import Capabilities, Condition, File, FileInfo, Folder, IfAbsent, IfMatch, Page
from .wrapper import DriverWrapper

__all__ = [
    "GROUP",
    "KEY_LIMIT",
    "LIST_LIMIT",
    "PART_LIMIT",
    "Capabilities",
    "Condition",
    "Driver",
    "DriverWrapper",
    "File",
    "FileInfo",
    "Folder",
    "IfAbsent",
    "IfMatch",
    "Page",
    "Reader",
    "Writer",
    "check_key",
    "check_prefix",
    "check_sources",
    "entries",
    "open_driver",
    "without_secrets",
]
