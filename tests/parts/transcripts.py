"""Transcripts in documents: commands after `$ `, with the output that they have.

A test compares an output of a document with an output of a run, word by word. Some words differ from run
to run: key IDs, times, and the port. Each of them stands for one word of the run in all outputs and commands
of the document. `…` stands for any text within a line.
"""

import re
from dataclasses import dataclass, field

PORT = "127.0.0.1:5000"
_KEY_ID = r"(?:[A-Z2-7]{4}:){11}[A-Z2-7]{4}"
_STORE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"
_SIGNING_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
_CLOCK = r"-?\d+\.\d+(?= s from this machine's)"
_SHORT_KEY_ID = r"[A-Z2-7]{4}:…:[A-Z2-7]{4}"
_BASE64_LINE = r"(?m:^[A-Za-z0-9+/=]{40,64}$)"
_WORDS = re.compile(
    f"(?P<bound>{_KEY_ID}|{_STORE_TIME})|(?P<short>{_SHORT_KEY_ID})|(?P<free>{_SIGNING_TIME}|{_CLOCK}|{_BASE64_LINE})|(?P<any>…)"
)


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a transcript, and the output that the document shows."""

    command: str
    output: str


def steps_of(text: str) -> list[Step]:
    """Return the steps of a transcript."""
    steps = []
    for part in re.split(r"(?m)^\$ ", text)[1:]:
        command, _, output = part.partition("\n")
        steps.append(Step(command, output))
    return steps


@dataclass(slots=True)
class Words:
    """The words of a run that the words of a document stand for."""

    known: dict[str, str] = field(default_factory=dict)

    def in_command(self, command: str) -> str:
        """Return a command of the document with the words of the run."""
        for documented, actual in self.known.items():
            command = command.replace(documented, actual)
        return command

    def learn(self, documented: str, actual: str) -> None:
        """Compare two outputs, and learn the words that are new in them."""
        new: list[str] = []
        match = re.fullmatch(self._pattern(documented, new), actual)
        assert match, f"the document shows\n{documented}\nand the command prints\n{actual}"
        for number, word in enumerate(new):
            self.known[word] = match[f"w{number}"]

    def in_order(self) -> bool:
        """Say whether the key IDs of the run sort as those of the document, since outputs are sorted by them."""
        key_ids = sorted(word for word in self.known if re.fullmatch(_KEY_ID, word))
        actual = [self.known[word] for word in key_ids]
        return actual == sorted(actual)

    def _pattern(self, documented: str, new: list[str]) -> str:
        for word, actual in self.known.items():
            if not re.fullmatch(_KEY_ID, word):
                continue
            documented = documented.replace(f"{word[:4]}:…:{word[-4:]}", f"{actual[:4]}:…:{actual[-4:]}")
        pattern, end = "", 0
        for match in _WORDS.finditer(documented):
            pattern += self._literal(documented[end : match.start()]) + self._word(match, new)
            end = match.end()
        return pattern + self._literal(documented[end:])

    def _literal(self, text: str) -> str:
        return re.escape(text.replace(PORT, self.known.get(PORT, PORT)))

    def _word(self, match: re.Match[str], new: list[str]) -> str:
        word = match[0]
        if match["any"]:
            return r"[^\n]*?"
        if match["short"]:
            return f"{word[:4]}:[A-Z2-7:]+:{word[-4:]}"
        if match["free"]:
            return next(
                form
                for form in (_SIGNING_TIME, _CLOCK, r"[A-Za-z0-9+/=]+")
                if re.match(form, word + " s from this machine's")
            )
        if word in self.known:
            return re.escape(self.known[word])
        if word in new:
            return f"(?P=w{new.index(word)})"
        new.append(word)
        form = _KEY_ID if re.fullmatch(_KEY_ID, word) else _STORE_TIME
        return f"(?P<w{len(new) - 1}>{form})"
