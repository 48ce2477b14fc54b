"""The storage driver: the interface under the engine. See `drivers/README.md` for how to write one."""

from .composing import Comparing, check_sources, check_version, other_version
from .contract import LIST_LIMIT, Driver, Reader, Writer
from .deadline import METADATA_TIMEOUT, metadata_deadline
from .keys import KEY_LIMIT, PART_LIMIT, check_key, check_prefix, is_key
from .opening import GROUP, open_driver, without_secrets
from .paging import entries
from .values import (
    Capabilities,
    Condition,
    DeletionEffects,
    File,
    FileInfo,
    Folder,
    IfAbsent,
    IfMatch,
    Page,
    Source,
)
from .wrapper import DriverWrapper

__all__ = [
    "GROUP",
    "KEY_LIMIT",
    "LIST_LIMIT",
    "METADATA_TIMEOUT",
    "PART_LIMIT",
    "Capabilities",
    "Comparing",
    "Condition",
    "DeletionEffects",
    "Driver",
    "DriverWrapper",
    "File",
    "FileInfo",
    "Folder",
    "IfAbsent",
    "IfMatch",
    "Page",
    "Reader",
    "Source",
    "Writer",
    "check_key",
    "check_prefix",
    "check_sources",
    "check_version",
    "entries",
    "is_key",
    "metadata_deadline",
    "open_driver",
    "other_version",
    "without_secrets",
]
