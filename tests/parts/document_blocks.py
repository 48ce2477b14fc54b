"""The code blocks of the project's documents."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "drivers/*.md", "bench/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"  # it tells of commands of the past
)


@dataclass(frozen=True, slots=True)
class Block:
    """A code block.

    Attributes:
        document: The document's path below the project's folder.
        line: The line of its first line.
        language: The language of a fenced block; empty for an indented block.
        text: Its lines, without the indentation.
    """

    document: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def first(self) -> str:
        """Its first line."""
        return self.text.partition("\n")[0]


@cache
def blocks_of(document: Path) -> tuple[Block, ...]:
    """Return the code blocks of a document, fenced and indented ones."""
    name = document.relative_to(ROOT).as_posix()
    return tuple(_blocks(name, document.read_text().splitlines()))


def block(document: str, first: str) -> Block:
    """Return the one block of a document that begins with this text."""
    (found,) = (each for each in blocks_of(ROOT / document) if each.text.startswith(first))
    return found


def _blocks(name: str, lines: list[str]) -> Iterator[Block]:
    number, before = 0, ""
    while number < len(lines):
        line = lines[number]
        if line.startswith("```"):
            end = lines.index("```", number + 1)
            yield Block(name, number + 2, line[3:], "\n".join(lines[number + 1 : end]) + "\n")
            number = end + 1
        elif line.startswith("    ") and not before.strip():
            end = number
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            text = "\n".join(each[4:] for each in lines[number:end]).rstrip("\n")
            yield Block(name, number + 1, "", text + "\n")
            number, before = end, ""
        else:
            number, before = number + 1, line


def commands_of(text: str) -> list[str]:
    """Return the commands of a block: without comments, each on one line."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [line for line in (re.sub(r"\s{2,}#.*", "", line) for line in joined.splitlines()) if line]
