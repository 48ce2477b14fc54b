"""An examination of a storage that fails: its conclusions, and its leftovers."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from revstore_async.doctor import Finding, Report, Verdict, examine
from revstore_async.doctor.contention import contended
from revstore_async.doctor.judging import judged
from revstore_async.driver import Condition, DriverWrapper, FileInfo, IfAbsent, IfMatch, Source
from revstore_async.errors import AccessDenied, ConditionFailed, Throttled, Unavailable
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import Fault, FaultsDriver, Rule, Script
from tests.parts.garbage import without_cycles

FIRST_WRITER = 3  # of the puts of "write if absent": two come before those that contend


def of(report: Report, check: str) -> Finding:
    (finding,) = [finding for finding in report.findings if finding.check == check]
    return finding


def all_but(report: Report, *checks: str) -> set[Verdict]:
    return {finding.verdict for finding in report.findings if finding.check not in checks}


FINE = {Verdict.HONOURED, Verdict.NOT_OFFERED}


# ---- a storage that fails for a moment


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.THROTTLED, Fault.ANSWER_LOST])
@pytest.mark.parametrize(
    ("method", "key", "check"),
    [
        ("get", "/read", "what was written is read"),
        ("compose", "/copy/", "copy"),
        ("delete_many", "", "deletion of many"),
        ("put", "/absent/", "write if absent"),
        ("put", "/match/", "write if unchanged"),
        ("delete", "/delete", "deletion if unchanged"),
    ],
)
async def test_nothing_is_concluded_from_a_failure_that_may_pass(
    fault: Fault, method: str, key: str, check: str
):
    async with FaultsDriver(MemoryDriver(), Script(Rule(method, fault, key=key))) as driver:
        report = await examine(driver)
        assert of(report, check).verdict is Verdict.UNDECIDED
        assert "injected" in of(report, check).detail
        assert all_but(report, check) == FINE
        assert not report.healthy
        assert not report.decided
        assert report.options == {}
        assert report.capabilities == driver.capabilities


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.THROTTLED, Fault.ANSWER_LOST])
@pytest.mark.parametrize("writer", [0, 10])
async def test_one_writer_without_an_answer_leaves_it_clear_who_won(fault: Fault, writer: int):
    rule = Rule("put", fault, nth=FIRST_WRITER + writer, key="/absent/")
    async with FaultsDriver(MemoryDriver(), Script(rule)) as driver:
        report = await examine(driver)
        assert of(report, "write if absent").verdict is Verdict.HONOURED
        assert of(report, "write if absent").detail == "one winner of 50, 1 without an answer"
        assert report.healthy


async def test_a_refusal_for_good_is_broken():
    class Refuses(DriverWrapper):
        async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
            if isinstance(condition, IfMatch):
                raise AccessDenied(key, "no conditions here")
            return await self.inner.put(key, content, condition=condition)

    async with Refuses(MemoryDriver()) as driver:
        report = await examine(driver)
        assert of(report, "write if unchanged").verdict is Verdict.BROKEN
        assert "no conditions here" in of(report, "write if unchanged").detail
        assert report.options == {"conditional_put": False}


WON, LOST, DENIED = "won", "lost", "denied"
UNANSWERED = "unanswered"


@pytest.mark.parametrize(
    ("told", "standing", "verdict", "detail"),
    [
        ((WON, LOST, LOST), b"writer 0", Verdict.HONOURED, "one winner of 3"),
        ((WON, LOST, LOST), b"writer 0....", Verdict.HONOURED, "one winner of 3"),
        ((UNANSWERED, WON, LOST), b"writer 1", Verdict.HONOURED, "1 without an answer"),
        ((UNANSWERED, LOST, LOST), b"writer 0", Verdict.HONOURED, "1 without an answer"),
        ((UNANSWERED,) * 3, b"writer 2", Verdict.HONOURED, "3 without an answer"),
        ((UNANSWERED, LOST, LOST), None, Verdict.UNDECIDED, "1 got no answer"),
        ((UNANSWERED,) * 3, None, Verdict.UNDECIDED, "3 got no answer"),
        ((UNANSWERED,) * 3, b"what was there", Verdict.UNDECIDED, "3 got no answer"),
        ((WON, WON, UNANSWERED), b"writer 1", Verdict.BROKEN, "2 of 3"),
        ((WON, WON, DENIED), b"writer 1", Verdict.BROKEN, "2 of 3"),
        ((WON, DENIED, UNANSWERED), b"writer 0", Verdict.BROKEN, "denied"),
        ((WON, UNANSWERED, LOST), b"writer 1", Verdict.BROKEN, "something else stands"),
        ((WON, LOST, LOST), None, Verdict.BROKEN, "something else stands"),
        ((LOST, WON) + (LOST,) * 10, b"writer 11", Verdict.BROKEN, "something else stands"),
        ((UNANSWERED, LOST, LOST), b"writer 1", Verdict.BROKEN, "told that it lost"),
        ((LOST, LOST, LOST), b"writer 1", Verdict.BROKEN, "told that it lost"),
        ((LOST, LOST, LOST), None, Verdict.BROKEN, "none of 3"),
    ],
)
async def test_what_follows_from_what_writers_were_told(
    told: tuple[str, ...], standing: bytes | None, verdict: Verdict, detail: str
):
    async with MemoryDriver() as driver:
        if standing is not None:
            await driver.put("key", standing)
        info = await driver.put("other", b"")

        async def write(key: str, content: bytes, condition: Condition) -> FileInfo:
            match told[int(content.removeprefix(b"writer "))]:
                case "lost":
                    raise ConditionFailed(key, str(condition))
                case "unanswered":
                    raise Unavailable(key, "silence")
                case "denied":
                    raise AccessDenied(key, "read only")
            return info

        judgement, text = await judged(lambda: contended(driver, write, IfAbsent(), "key", len(told)))
        assert judgement is verdict
        assert detail in text


async def test_an_error_that_ends_the_contention_is_left_in_no_cycle():
    async with MemoryDriver() as driver:

        async def write(key: str, content: bytes, condition: Condition) -> FileInfo:
            raise AccessDenied(key, "read only")

        async with without_cycles() as left:
            judgement, _ = await judged(lambda: contended(driver, write, IfAbsent(), "key", 3))
            await asyncio.sleep(0)  # the loop holds the last results that it handed over
        assert judgement is Verdict.BROKEN
    assert left == []


# ---- a driver with a defect


async def test_a_check_that_meets_a_defect_tells_of_it_and_the_others_go_on():
    class HasDefects(DriverWrapper):
        async def compose(
            self, sources: Sequence[Source], target: str, *, digest: str | None = None
        ) -> FileInfo:
            raise LookupError("no such bucket")

        async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
            if content == b"writer 7":
                raise ZeroDivisionError("by seven")
            return await self.inner.put(key, content, condition=condition)

    told: list[Finding] = []
    async with HasDefects(MemoryDriver()) as driver:
        report = await examine(driver, on_finding=told.append)
        defects = ("copy", "write if absent", "write if unchanged")
        assert [of(report, check).verdict for check in defects] == [Verdict.BROKEN] * 3
        assert of(report, "copy").detail == "LookupError: no such bucket"
        assert of(report, "write if absent").detail == "ZeroDivisionError: by seven"
        assert all_but(report, *defects) == FINE
        assert list(report.findings) == told
        assert (await driver.list_all()).entries == ()


async def test_a_cancelled_examination_ends_and_leaves_nothing():
    class Waits(DriverWrapper):
        async def compose(
            self, sources: Sequence[Source], target: str, *, digest: str | None = None
        ) -> FileInfo:
            waits.set()
            await asyncio.Event().wait()
            raise AssertionError

    waits = asyncio.Event()
    async with Waits(MemoryDriver()) as driver:
        examination = asyncio.create_task(examine(driver))
        await waits.wait()
        assert (await driver.list_all()).entries != ()
        examination.cancel()
        with pytest.raises(asyncio.CancelledError):
            await examination
        assert (await driver.list_all()).entries == ()


# ---- what is left behind


class RefusesOneWhileOthersWrite(DriverWrapper):
    """Denies one of the writers that contend at once; the others take an hour."""

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        if content.startswith(b"writer "):
            if content == b"writer 0":
                raise AccessDenied(key, "read only")
            await asyncio.sleep(3600)
        return await self.inner.put(key, content, condition=condition)


def test_no_writer_outlives_its_check():
    async def work() -> None:
        async with RefusesOneWhileOthersWrite(MemoryDriver()) as driver:
            report = await examine(driver)
            assert of(report, "write if absent").verdict is Verdict.BROKEN
            assert asyncio.all_tasks() == {asyncio.current_task()}
            await asyncio.sleep(2 * 3600)
            assert (await driver.list_all()).entries == ()

    run_on_virtual_clock(work())


@pytest.mark.parametrize(
    ("failure", "verdict", "detail"),
    [
        (lambda: Unavailable("prefix", "silence"), Verdict.UNDECIDED, "silence"),
        (lambda: Throttled("prefix", "slow down"), Verdict.UNDECIDED, "slow down"),
        (lambda: AccessDenied("prefix", "no deletions"), Verdict.BROKEN, "no deletions"),
        (lambda: RuntimeError("a defect"), Verdict.BROKEN, "RuntimeError: a defect"),
    ],
)
async def test_a_clean_up_that_fails_is_a_finding_beside_the_others(
    failure: Callable[[], Exception], verdict: Verdict, detail: str
):
    class KeepsAll(DriverWrapper):
        async def delete_prefix(self, prefix: str) -> None:
            raise failure()

    told: list[Finding] = []
    async with KeepsAll(MemoryDriver()) as driver:
        report = await examine(driver, on_finding=told.append)
        assert all_but(report, "clean-up") == FINE
        found = of(report, "clean-up")
        assert (found.verdict, found.capability) == (verdict, "")
        assert detail in found.detail
        left = (await driver.list_all()).entries
        (root,) = {"/".join(info.key.split("/")[:2]) for info in left}
        assert f"below {root}:" in found.detail
        assert list(report.findings) == told
        assert not report.healthy


async def test_an_error_that_ends_the_examination_is_not_hidden_by_that_of_the_clean_up():
    class KeepsAll(DriverWrapper):
        async def delete_prefix(self, prefix: str) -> None:
            raise Unavailable(prefix, "silence")

    def stop(finding: Finding) -> None:
        raise KeyError(finding.check)

    async with KeepsAll(MemoryDriver()) as driver:
        with pytest.raises(KeyError):
            await examine(driver, on_finding=stop)
