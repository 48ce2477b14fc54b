"""Reads the settings of a bucket that change the effect of deletions."""

from revstore_async.driver import DeletionEffects

from ..buckets.refusals import Refused
from .client import Client


async def deletion_effects(client: Client) -> DeletionEffects:
    """Return the effect of deletions: 1 request, 2 for a bucket that keeps versions."""
    versioning = await client.ask("get_bucket_versioning", "")
    if versioning.get("Status") != "Enabled":  # a lock of objects needs versions
        return DeletionEffects()
    return DeletionEffects(keeps_versions=True, locks_versions=await _locks(client))


async def _locks(client: Client) -> bool:
    try:
        answer = await client.ask("get_object_lock_configuration", "")
    except Refused:  # there is no such configuration
        return False
    return "DefaultRetention" in answer.get("ObjectLockConfiguration", {}).get("Rule", {})
