"""Seeds: a schedule as a short text, such as `put-and-delete@minio@15:1,6:2`.

It names the case and the profile. Each pair of numbers is a count of steps that take their first option, and the
option of the step after them. All later steps take their first option.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seed:
    """A schedule of one case on one profile."""

    case: str
    profile: str
    choices: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.case}@{self.profile}@{written(self.choices)}"

    @classmethod
    def read(cls, text: str) -> "Seed":
        """Read one.

        Raises:
            ValueError: It is none.
        """
        case, profile, choices = text.split("@")
        return cls(case, profile, read(choices))


def written(choices: Sequence[int]) -> str:
    """Write choices as a text."""
    parts, firsts = [], 0
    for choice in choices:
        if choice:
            parts.append(f"{firsts}:{choice}")
            firsts = 0
        else:
            firsts += 1
    return ",".join(parts)


def read(text: str) -> tuple[int, ...]:
    """Read choices from a text."""
    choices: list[int] = []
    for part in text.split(",") if text else []:
        firsts, choice = map(int, part.split(":"))
        choices += [*[0] * firsts, choice]
    return tuple(choices)
