"""A digest with a resumable computation: bytes are hashed once, as they arrive, by any number of processes.

hashlib can't export the state of a computation. OpenSSL's own `SHA256_Init`, `SHA256_Update` and `SHA256_Final`
(with those for SHA-384 and SHA-512) can: they work on a plain struct that the caller holds, `SHA256_CTX` and
`SHA512_CTX` of <openssl/sha.h>. They are in the libcrypto that hashlib is linked with.

A state has the layout of Go's `crypto/sha256` and `crypto/sha512`: magic, chaining values, the bytes of the
last block, the length; big-endian. Docker Distribution keeps the same in `hashstates`.
"""

import ctypes
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final, Self

from .digest import new_hasher


class _Context256(ctypes.Structure):
    _fields_ = (
        ("h", ctypes.c_uint32 * 8),
        ("bits", ctypes.c_uint32 * 2),  # low, high
        ("block", ctypes.c_ubyte * 64),
        ("gathered", ctypes.c_uint),
        ("length", ctypes.c_uint),
    )


class _Context512(ctypes.Structure):
    _fields_ = (
        ("h", ctypes.c_uint64 * 8),
        ("bits", ctypes.c_uint64 * 2),  # low, high
        ("block", ctypes.c_ubyte * 128),
        ("gathered", ctypes.c_uint),
        ("length", ctypes.c_uint),
    )


@dataclass(frozen=True, slots=True)
class _Family:
    """The parameters of one algorithm.

    Attributes:
        prefix: The prefix of OpenSSL's functions.
        context: Their struct.
        magic: The first bytes of Go's layout.
        words: The layout of the chaining values.
        block: Bytes of a block.
    """

    prefix: str
    context: type[_Context256] | type[_Context512]
    magic: bytes
    words: str
    block: int

    @property
    def size(self) -> int:
        """Bytes of a state."""
        return len(self.magic) + struct.calcsize(self.words) + self.block + 8


_FAMILIES: Final = {
    "sha256": _Family("SHA256", _Context256, b"sha\x03", ">8I", 64),
    "sha384": _Family("SHA384", _Context512, b"sha\x04", ">8Q", 128),
    "sha512": _Family("SHA512", _Context512, b"sha\x07", ">8Q", 128),
}


@dataclass(frozen=True, slots=True)
class _Functions:
    init: Callable[..., Any]
    update: Callable[..., Any]
    final: Callable[..., Any]


class ResumableDigest:
    """A computation of a digest; another process can resume it from its state.

    Without these functions in Python's OpenSSL it still computes the digest, and `state` is None.

    Args:
        algorithm: One of `digest.HEX_LENGTHS`.

    Raises:
        InvalidDigest: The algorithm is another one.
    """

    def __init__(self, algorithm: str) -> None:
        self.algorithm: Final = algorithm
        self._plain = new_hasher(algorithm)  # judges the algorithm, too
        self._functions = _functions(algorithm)
        if self._functions:
            self._context = _FAMILIES[algorithm].context()
            self._functions.init(ctypes.byref(self._context))

    @classmethod
    def from_state(cls, algorithm: str, state: bytes) -> Self | None:
        """Resume a computation from its state; return None if this process can't.

        The caller then reads the bytes again. A process can't resume without OpenSSL's functions, or from bytes
        that are not a state of the algorithm.
        """
        family = _FAMILIES[algorithm]
        resumed = cls(algorithm)
        if resumed._functions is None or len(state) != family.size or not state.startswith(family.magic):
            return None
        resumed._restore(family, state[len(family.magic) :])
        return resumed

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Hash more bytes. It releases the interpreter: a coroutine gives large ones to another thread."""
        if self._functions:
            taken = bytes(data)  # no copy, of bytes
            self._functions.update(ctypes.byref(self._context), taken, len(taken))
        else:
            self._plain.update(data)

    def hexdigest(self) -> str:
        """Return the digest of the bytes so far; the caller may add more afterwards."""
        if self._functions is None:
            return self._plain.hexdigest()
        context = type(self._context).from_buffer_copy(self._context)
        digest = ctypes.create_string_buffer(context.length)
        self._functions.final(digest, ctypes.byref(context))
        return digest.raw.hex()

    def state(self) -> bytes | None:
        """Return the state, for `from_state` in any process; None if this process can't export it."""
        if self._functions is None:
            return None
        family, context = _FAMILIES[self.algorithm], self._context
        low, high = context.bits
        bits = high << (8 * ctypes.sizeof(context.bits) // 2) | low
        gathered = bytes(context.block)[: context.gathered].ljust(family.block, b"\0")
        return family.magic + struct.pack(family.words, *context.h) + gathered + struct.pack(">Q", bits // 8)

    def _restore(self, family: _Family, rest: bytes) -> None:
        words = struct.calcsize(family.words)
        (length,) = struct.unpack(">Q", rest[-8:])
        context = self._context
        context.h[:] = struct.unpack(family.words, rest[:words])
        width = 8 * ctypes.sizeof(context.bits) // 2
        context.bits[:] = (length * 8 & ((1 << width) - 1), length * 8 >> width)
        context.block[:] = rest[words:-8]
        context.gathered = length % family.block


@cache
def _library() -> ctypes.CDLL | None:
    """Return the library that has OpenSSL's functions; None if hashlib is linked with no OpenSSL."""
    try:
        return ctypes.CDLL(str(import_module("_hashlib").__file__))
    except (
        ImportError,
        AttributeError,
        OSError,
    ):  # not there, built into the interpreter, not to be loaded again
        return None


@cache
def _functions(algorithm: str) -> _Functions | None:
    """Return the functions, if they are there and pass a self-test."""
    library, family = _library(), _FAMILIES[algorithm]
    if library is None:
        return None
    try:
        init, update, final = (
            getattr(library, f"{family.prefix}_{verb}") for verb in ("Init", "Update", "Final")
        )
    except AttributeError:  # an OpenSSL without its deprecated functions, or another library
        return None
    update.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
    found = _Functions(init, update, final)
    return found if _sound(found, family, algorithm) else None


def _sound(functions: _Functions, family: _Family, algorithm: str) -> bool:
    # The struct is public, yet a library may have another: a wrong digest would lose a client's layer.
    context, content = family.context(), b"resumable" * 31
    functions.init(ctypes.byref(context))
    functions.update(ctypes.byref(context), content, len(content))
    expected = hashlib.new(algorithm, content).digest()
    fits = (
        context.length == len(expected)
        and context.gathered == len(content) % family.block
        and context.bits[0] == 8 * len(content)
        and bytes(context.block)[: context.gathered] == content[len(content) - context.gathered :]
    )
    if not fits:
        return False
    digest = ctypes.create_string_buffer(len(expected))
    functions.final(digest, ctypes.byref(context))
    return digest.raw == expected
