"""Tests a store for the guarantees that it keeps. A server may accept a condition and ignore it.

Everything is tried through the driver, on keys of its own below one prefix, which is deleted at the end.
Capabilities that the driver does not offer are not tested. A check that fails for a moment is undecided, and
the doctor concludes nothing from it.
"""

from .examination import examine
from .findings import Finding, Report, Verdict

__all__ = ["Finding", "Report", "Verdict", "examine"]
