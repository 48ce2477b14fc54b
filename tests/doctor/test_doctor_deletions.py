"""The doctor's findings about former versions of deleted objects, on MinIO."""

from typing import Any

import pytest

from revstore_async.doctor import Finding, Verdict, examine
from revstore_async.driver import DeletionEffects, DriverWrapper
from revstore_async.errors import AccessDenied
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.object_store import ObjectStoreDriver
from revstore_drivers.s3 import S3Driver
from tests.parts.minio import MinIO
from tests.parts.proxy import Answer, Proxy, running

CHECK = "space of deleted objects"
ENABLED = {"Status": "Enabled"}
RULE = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}


def made(minio: MinIO, versioning: dict[str, str] | None, lock: dict[str, Any] | None) -> str:
    """Make a bucket with these settings."""
    raw = minio.raw()
    if lock is None:
        name = minio.new_bucket()
    else:
        name = f"{minio.new_bucket()}-lock"
        raw.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    if versioning is not None:
        raw.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    if lock:
        raw.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock)
    raw.close()
    return name


SETTINGS = [
    (None, None, DeletionEffects()),
    (ENABLED, None, DeletionEffects(keeps_versions=True)),
    ({"Status": "Suspended"}, None, DeletionEffects()),
    (ENABLED, {}, DeletionEffects(keeps_versions=True)),
    (ENABLED, RULE, DeletionEffects(keeps_versions=True, locks_versions=True)),
]


@pytest.mark.parametrize(("versioning", "lock", "effects"), SETTINGS)
async def test_the_effects_of_deletions_are_those_of_the_buckets_settings(
    minio: MinIO, versioning: dict[str, str] | None, lock: dict[str, Any] | None, effects: DeletionEffects
):
    async with S3Driver(made(minio, versioning, lock), **minio.options()) as driver:
        assert await driver.deletion_effects() == effects


class Keeps(DriverWrapper):
    effects = DeletionEffects(keeps_versions=True)

    async def deletion_effects(self) -> DeletionEffects:
        return self.effects


class Locks(Keeps):
    effects = DeletionEffects(keeps_versions=True, locks_versions=True)


class Denies(DriverWrapper):
    async def deletion_effects(self) -> DeletionEffects:
        raise AccessDenied("", "not these credentials")


@pytest.mark.parametrize(
    ("wrapper", "verdict", "word"),
    [
        (DriverWrapper, Verdict.HONOURED, "comes back"),
        (Keeps, Verdict.NOTED, "lifecycle rule"),
        (Locks, Verdict.NOTED, "locked"),
        (Denies, Verdict.NOTED, "not known"),
    ],
)
async def test_the_doctor_notes_what_frees_no_space_and_the_store_is_healthy(
    wrapper: type[DriverWrapper], verdict: Verdict, word: str
):
    async with wrapper(MemoryDriver()) as driver:
        report = await examine(driver)
    (finding,) = [found for found in report.findings if found.check == CHECK]
    assert finding.verdict is verdict
    assert word in finding.detail
    assert report.healthy
    assert report.decided
    assert report.options == {}


async def test_a_denied_look_at_the_settings_is_told_apart_from_a_server_without_them(minio: MinIO):
    async with running(Proxy(minio.port)) as proxy:
        options: dict[str, Any] = {**minio.options(), "endpoint_url": proxy.url}
        async with S3Driver(minio.new_bucket(), **options) as driver:
            for status, code in ((403, "AccessDenied"), (501, "NotImplemented")):
                proxy.spoil(Answer(status, code), has="versioning")
                assert "not known" in (await found(driver)).detail


async def test_obstore_can_not_ask_for_the_settings(minio: MinIO):
    url = f"obstore+s3://{minio.new_bucket()}"
    async with ObjectStoreDriver(url, **minio.options()) as driver:
        assert (await found(driver)).verdict is Verdict.NOTED


async def found(driver: S3Driver | ObjectStoreDriver) -> Finding:
    report = await examine(driver)
    assert report.healthy
    (finding,) = [each for each in report.findings if each.check == CHECK]
    return finding
