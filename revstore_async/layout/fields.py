"""The fields of objects, as texts in keys: names, tags, digests, numbers and times."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from .objects import SEQUENCE_LIMIT


@dataclass(frozen=True, slots=True)
class Field:
    """A field of objects, in keys.

    Attributes:
        pattern: Matches its texts, and some texts outside its grammar.
        write: Returns the text of a value.
        read: Returns the value of a text; raises ValueError outside the grammar.
        get: Gets the value from an object, if it is not the attribute of the field's name.
    """

    pattern: str
    write: Callable[[Any], str]
    read: Callable[[str], Any]
    get: Callable[[Any], Any] | None = None


@lru_cache(maxsize=1024)
def read_field(name: str, text: str) -> Any:  # noqa: ANN401 (a field's value)
    """Return the value of a field from its text. The texts of a listing repeat: each is read once.

    Raises:
        ValueError: It is outside the grammar of the field, or not as the key of this value has it.
    """
    form = FIELDS[name]
    value = form.read(text)
    if form.write(value) != text:
        raise ValueError(text)
    return value


@lru_cache(maxsize=1024)
def write_digest(digest: Digest) -> str:
    """Return the folders of a digest. A push writes it into several keys: its folders are made once."""
    if legacy := digest.tarsum:
        return f"tarsum/{legacy[0]}/{legacy[1]}/{digest.hex}"
    return digest.replace(":", "/", 1)


def _read_digest(folders: str) -> Digest:
    *kind, hexadecimal = folders.split("/")
    if kind[0] != "tarsum":
        return Digest(f"{kind[0]}:{hexadecimal}")
    _, version, algorithm = kind
    return Digest(f"tarsum{'' if version == 'v0' else '.' + version}+{algorithm}:{hexadecimal}")


@lru_cache(maxsize=1024)
def _write_blob(digest: Digest) -> str:
    folders, _, hexadecimal = write_digest(digest).rpartition("/")
    return f"{folders}/{hexadecimal[:2]}/{hexadecimal}"


def _read_blob(folders: str) -> Digest:
    kind, _, hexadecimal = folders.rpartition("/")
    return _read_digest(f"{kind.rpartition('/')[0]}/{hexadecimal}")


def write_sequence(sequence: int) -> str:
    """Return the folders of a change's number, which counts down, so that the latest change is listed first.

    They are two, so that no folder of a file system holds more than 1,000.
    """
    digits = f"{SEQUENCE_LIMIT - 1 - sequence:012}"
    return f"{digits[:9]}/{digits[9:]}"


def _read_sequence(folders: str) -> int:
    return SEQUENCE_LIMIT - 1 - int(folders.replace("/", ""))


def _write_number(number: tuple[int, bool]) -> str:
    """Return the folders of a record's number, or its one folder; see `TagCreated.flat`."""
    sequence, flat = number
    return write_sequence(sequence).replace("/", "" if flat else "/")


def _read_number(folders: str) -> tuple[int, bool]:
    return _read_sequence(folders), "/" not in folders


def _write_time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def _read_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)


def _write_day(day: date) -> str:
    return day.strftime("%Y%m%d")


def _read_day(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()


_PLAIN: Final = Field(r"[^/]+", str, str)
_DIGEST: Final = Field(r"(?:tarsum/[a-z0-9]+/)?[a-z0-9]+/[0-9a-f]+", write_digest, _read_digest)
FIELDS: Final = {
    # Greedy: in the seed's layout a name may hold the folders' names, so the last ones count.
    "name": Field(r".+", str, RepositoryName),
    "tag": Field(r"[^/]+", str, Tag),
    "blob": Field(r"(?:tarsum/[a-z0-9]+/)?[a-z0-9]+/[0-9a-f]{2}/[0-9a-f]+", _write_blob, _read_blob),
    "digest": _DIGEST,
    "revision": _DIGEST,
    "subject": _DIGEST,
    "successor": _DIGEST,
    "sequence": Field(r"\d{9}/\d{3}", write_sequence, _read_sequence),
    "number": Field(r"\d{12}|\d{9}/\d{3}", _write_number, _read_number, attrgetter("sequence", "flat")),
    "since": Field(r"\d{8}T\d{6}\.\d{6}Z", _write_time, _read_time),
    "day": Field(r"\d{8}", _write_day, _read_day),
    "writer": _PLAIN,
    "offset": Field(r"\d+", str, int),
    "upload": _PLAIN,
    "segment": _PLAIN,
    "run": _PLAIN,
    "list": _PLAIN,
    "reader": Field(r"\d{1,9}", str, int),
    "hashed": Field(r"[0-9a-f]{64}", str, str),
    "algorithm": _PLAIN,
}
