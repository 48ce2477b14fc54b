"""The examination: every check in turn, then the clean-up."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from ..driver import Driver, entries
from ..errors import Unsupported
from .checks import Probe
from .findings import Finding, Report, Verdict
from .judging import judged


async def examine(driver: Driver, *, on_finding: Callable[[Finding], None] = lambda _finding: None) -> Report:
    """Try out a store and report. Some 600 requests.

    An error in a check, or in the clean-up, is a finding.

    Args:
        driver: The driver, open.
        on_finding: Called with each finding as soon as it is made: progress.

    Raises:
        StorageFailure: The store can't be written to at all.
    """
    probe = Probe(driver, f"revstore-doctor/{secrets.token_hex(8)}")
    await driver.put(f"{probe.root}/first", b"")  # a store that refuses this is not examined
    findings: list[Finding] = []
    try:
        for check, capability, attempt in probe.checks():
            findings.append(await _made(driver, check, capability, attempt))
            on_finding(findings[-1])
    finally:
        left = await _cleaned_up(driver, probe.root)
    if left is not None:
        findings.append(left)
        on_finding(left)
    report = Report(tuple(findings), driver.capabilities)
    honoured: dict[str, Any] = {**report.options}
    return replace(report, capabilities=replace(driver.capabilities, **honoured))


async def _made(
    driver: Driver, check: str, capability: str, attempt: Callable[[], Awaitable[str]]
) -> Finding:
    if capability and not getattr(driver.capabilities, capability):
        return Finding(check, Verdict.NOT_OFFERED, "the driver does not offer it", capability)
    verdict, detail = await judged(attempt)
    return Finding(check, verdict, detail, capability)


async def _cleaned_up(driver: Driver, root: str) -> Finding | None:
    """Delete the objects of the checks; return a finding if that failed."""

    async def delete() -> str:
        try:
            await driver.delete_prefix(root)
        except Unsupported:  # a store that can't delete many in one request may delete each
            async for info in entries(driver.list_all, root):
                await driver.delete(info.key)
        return ""

    verdict, detail = await judged(delete)
    if verdict is Verdict.HONOURED:
        return None
    return Finding("clean-up", verdict, f"what is left lies below {root}: {detail}")
