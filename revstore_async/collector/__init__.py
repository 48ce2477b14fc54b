"""Retention and the collection of garbage."""

from ..runs.state import Bounds
from .chains import Chain, Reasons
from .control import Status
from .explaining import Explanation
from .planning import Going, Numbers, Plan, Staying
from .progress import Progress
from .retention import Conditions, Retention, Rule
from .running import Collected
from .store import Collector
from .usage import RepositoryUsage, Usage

__all__ = [
    "Bounds",
    "Chain",
    "Collected",
    "Collector",
    "Conditions",
    "Explanation",
    "Going",
    "Numbers",
    "Plan",
    "Progress",
    "Reasons",
    "RepositoryUsage",
    "Retention",
    "Rule",
    "Status",
    "Staying",
    "Usage",
]
