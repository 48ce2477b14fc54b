"""The findings of an examination, as values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ..driver import Capabilities


class Verdict(StrEnum):
    """The outcome of a check."""

    HONOURED = "honoured"
    """The store does what the contract says."""

    NOTED = "noted"
    """It works, and its operator should know what the detail says."""

    BROKEN = "broken"
    """It does something else."""

    UNDECIDED = "undecided"
    """It could not be tried: something failed that may go well later."""

    NOT_OFFERED = "not offered"
    """The driver says itself that it can't; it was not tried."""


_FINE: Final = frozenset({Verdict.HONOURED, Verdict.NOTED, Verdict.NOT_OFFERED})


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and its outcome.

    Attributes:
        check: What was asked, in a few words.
        verdict: What came of it.
        detail: What was seen; for a broken one, what is wrong; for an undecided one, what stood in the way.
        capability: The field of `Capabilities` that it is about; empty for what every store must do.
    """

    check: str
    verdict: Verdict
    detail: str = ""
    capability: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings about a store.

    Attributes:
        findings: In the order in which they were made. A clean-up is among them only if it failed.
        capabilities: What the driver says, less what was found broken; what is undecided is as the driver says.
    """

    findings: tuple[Finding, ...]
    capabilities: Capabilities

    @property
    def healthy(self) -> bool:
        """Whether the store was seen to do all that its driver says."""
        return all(finding.verdict in _FINE for finding in self.findings)

    @property
    def decided(self) -> bool:
        """Whether no check is undecided; else it is worth while to examine the store again."""
        return all(finding.verdict is not Verdict.UNDECIDED for finding in self.findings)

    @property
    def options(self) -> dict[str, bool]:
        """The capabilities that were found broken, each as False, by name; empty where none was.

        A driver that takes its capabilities as options, as `s3` does, is opened with these to offer no more
        than the store honours. It then raises `Unsupported` for the rest.
        """
        return {
            finding.capability: False
            for finding in self.findings
            if finding.capability and finding.verdict is Verdict.BROKEN
        }
