"""The suite finds faults: a driver that is wrong in one thing fails the test named for it."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from revstore_async.driver import Capabilities, File, IfAbsent, Page, Source
from revstore_async.errors import ConditionFailed, KeyNotFound
from revstore_async.testing import DriverConformance
from revstore_drivers.memory import MemoryDriver


def put(driver, key, content, condition):
    return driver.put(key, content, condition=condition)


class ChecksThenActs(MemoryDriver):
    async def put(self, key, content, *, condition=None):
        if condition == IfAbsent():
            try:
                await self.stat(key)
            except KeyNotFound:
                return await super().put(key, content)
            raise ConditionFailed(key, str(condition))
        return await super().put(key, content, condition=condition)


class SameEtag(MemoryDriver):
    async def put(self, key, content, *, condition=None):
        info = await super().put(key, content, condition=condition)
        return dataclasses.replace(info, etag=f"{len(content)}")


class IgnoresConditions(MemoryDriver):
    async def put(self, key, content, *, condition=None):
        return await super().put(key, content)


class DeletesByTextPrefix(MemoryDriver):
    async def delete_prefix(self, prefix) -> None:
        await super().delete_prefix(prefix)
        for key in [key for key in self.store.objects if key.startswith(prefix)]:
            self.store.remove(key)


class DeletesAnyVersion(MemoryDriver):
    async def delete(self, key, *, condition=None, until=None) -> None:
        await super().delete(key, until=until)


class IgnoresTheEnd(MemoryDriver):
    async def delete(self, key, *, condition=None, until=None) -> None:
        await super().delete(key, condition=condition)


class IgnoresTheEndOfMany(MemoryDriver):
    async def delete_many(self, keys, *, until=None) -> None:
        await super().delete_many(keys)


class DeletesNothingThatIsDated(MemoryDriver):
    async def delete_many(self, keys, *, until=None) -> None:
        if until is None:
            await super().delete_many(keys)


class TakesNoEndAndIgnoresIt(MemoryDriver):
    @property
    def capabilities(self):
        return Capabilities(dated_deletion=False)


class ChecksThenDeletes(MemoryDriver):
    async def delete(self, key, *, condition=None, until=None) -> None:
        if condition is not None:
            try:
                info = await self.stat(key)
            except KeyNotFound:
                raise ConditionFailed(key, str(condition)) from None
            if info.etag != condition.etag:
                raise ConditionFailed(key, str(condition))
        await super().delete(key)


class ListsLikeAWalk(MemoryDriver):
    async def list_all(self, prefix="", *, start_after=None, limit=1000):
        page = await super().list_all(prefix, start_after=start_after, limit=limit)
        return Page(tuple(sorted(page.entries, key=lambda info: info.key.split("/"))), page.next)


class ListsFoldersAfterAnyText(MemoryDriver):
    async def list(self, prefix="", *, start_after=None, limit=1000):
        if start_after and "/" in start_after.removeprefix(prefix + "/").rstrip("/"):
            start_after = start_after[: start_after.rindex("/")]
        return await super().list(prefix, start_after=start_after, limit=limit)


class ReadsInTwoSteps(MemoryDriver):
    async def get(self, key, *, limit=None):
        first = await super().get(key, limit=limit)
        second = await super().get(key, limit=limit)
        half = first.info.size // 2
        return File(first.info, first.content[:half] + second.content[half:])


class TellsTheTimeOfAnotherClock(MemoryDriver):
    async def get(self, key, *, limit=None):
        file = await super().get(key, limit=limit)
        return dataclasses.replace(file, date=file.info.modified - timedelta(seconds=1))


class TellsAnOldTimeOfAMissingKey(MemoryDriver):
    def _file(self, key):
        try:
            return super()._file(key)
        except KeyNotFound:
            raise KeyNotFound(key, datetime(2026, 1, 1, tzinfo=UTC)) from None


class WritesInTwoSteps(MemoryDriver):
    async def put(self, key, content, *, condition=None):
        await super().put(key, content[: len(content) // 2], condition=condition)
        return await super().put(key, content)


class DeletesWhileJudging(MemoryDriver):
    async def delete_many(self, keys, *, until=None) -> None:
        for key in keys:
            await super().delete_many([key], until=until)


class ComposesAnyVersion(MemoryDriver):
    async def compose(self, sources, target, *, digest=None):
        return await super().compose([Source(each.key, each.size) for each in sources], target)


class ComposesUncompared(MemoryDriver):
    async def compose(self, sources, target, *, digest=None):
        return await super().compose(sources, target)


class ClaimsNoConditions(MemoryDriver):
    @property
    def capabilities(self):
        return Capabilities(conditional_put=False, conditional_commit=False)


class GivesWhileClosed(MemoryDriver):
    async def stat(self, key):
        return self._file(key).info


MUTANTS = [
    (ChecksThenActs, "test_one_creates", (put,)),
    (SameEtag, "test_etags_differ", ()),
    (IgnoresConditions, "test_if_match", (put,)),
    (IgnoresConditions, "test_if_absent", (put,)),
    (DeletesAnyVersion, "test_delete_of_one_version", ()),
    (ChecksThenDeletes, "test_delete_of_one_version_against_a_write_over_it", ()),
    (IgnoresTheEnd, "test_an_expired_deletion", (timedelta(seconds=2),)),
    (IgnoresTheEndOfMany, "test_an_expired_deletion", (timedelta(hours=1),)),
    (IgnoresTheEnd, "test_an_end_that_is_refused", ()),
    (DeletesNothingThatIsDated, "test_a_dated_deletion", (timedelta(minutes=5),)),
    (TakesNoEndAndIgnoresIt, "test_an_end_that_is_refused", ()),
    (DeletesByTextPrefix, "test_delete_prefix", ()),
    (ListsLikeAWalk, "test_the_order", ()),
    (ListsFoldersAfterAnyText, "test_start_after", ("",)),
    (ReadsInTwoSteps, "test_reading_while_writing", ()),
    (TellsTheTimeOfAnotherClock, "test_the_time_of_an_answer", ()),
    (TellsAnOldTimeOfAMissingKey, "test_the_time_of_an_answer", ()),
    (WritesInTwoSteps, "test_reading_while_writing", ()),
    (WritesInTwoSteps, "test_all_or_nothing", ("put",)),
    (DeletesWhileJudging, "test_keys_are_judged_first", ()),
    (ComposesAnyVersion, "test_compose_of_versions", ([3, 0, 4],)),
    (ComposesUncompared, "test_compose_compares", ([3, 0, 4],)),
    (ClaimsNoConditions, "test_a_lacking_condition_is_refused", ()),
    (ClaimsNoConditions, "test_without_the_capability_a_condition_is_refused", ()),
]


async def test_a_method_that_works_on_a_closed_driver_is_named() -> None:
    class Suite(DriverConformance):
        def reopen(self, driver):
            return GivesWhileClosed(driver.store)

    async with MemoryDriver() as driver:
        with pytest.raises(AssertionError, match="stat of a closed driver did not raise DriverClosed"):
            await Suite().test_outside_of_its_block(driver)


@pytest.mark.parametrize(("mutant", "test", "arguments"), MUTANTS)
async def test_a_wrong_driver_fails(mutant, test, arguments) -> None:
    suite = DriverConformance()
    check = getattr(suite, test)
    async with MemoryDriver() as right:
        if mutant is not ClaimsNoConditions:
            await check(right, *arguments)
    with pytest.raises((AssertionError, pytest.fail.Exception, BaseExceptionGroup)) as caught:
        async with mutant() as wrong:
            await check(wrong, *arguments)
    errors = [caught.value]
    while isinstance(errors[0], BaseExceptionGroup):
        errors = [*errors[0].exceptions]
    assert all(isinstance(error, AssertionError | pytest.fail.Exception) for error in errors), errors
