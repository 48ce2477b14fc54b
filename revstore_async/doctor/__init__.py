"""Asks a store itself what it honours. A server may say yes to a condition and ignore it; here it is tried.

Everything is tried through the driver, on keys of its own below one prefix, which is deleted at the end. What the
driver does not offer is not tried. What the storage fails at for a moment is undecided, and nothing is concluded
from it.
"""

from .examination import examine
from .findings import Finding, Report, Verdict

__all__ = ["Finding", "Report", "Verdict", "examine"]
