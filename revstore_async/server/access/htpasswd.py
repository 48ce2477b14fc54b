"""Users and passwords in a file of Apache's `htpasswd`: bcrypt only.

Sources: RFC 7617; Apache's "Password Formats"; Docker Distribution's `htpasswd`, which takes bcrypt only as well.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

import bcrypt
from starlette.requests import HTTPConnection

from ...errors import InvalidArgument, InvalidHtpasswd, TooManyAttempts, Unauthenticated
from ..running.in_flight import aside
from ..streams.leaving import while_there
from .attempts import FAILURES, Attempts, address_of
from .challenges import quoted
from .credentials import Remembered, credentials_of, user_and_password
from .password_checks import ASKING, WAITING, PasswordChecks
from .policy import ANONYMOUS, AccessPolicy, Authorize, Need, Principal, agrees
from .watched_file import WatchedFile

COSTS: Final = (4, 16)
"""The least and the greatest cost of a hash: each step doubles the time, and 16 takes seconds."""

PASSWORD_LIMIT: Final = 72
"""Bytes of a password: bcrypt does not look further."""

REMEMBERED: Final = 1024
"""Credentials that are remembered at once."""

KNOWN: Final = timedelta(days=1)
"""The time for which credentials that were right are checked before others."""

_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")


@dataclass(frozen=True, slots=True)
class Users:
    """The content of an htpasswd file.

    Attributes:
        hashes: Each user's hash.
        nobody: A hash that no known password has, as costly as the costliest of the users' hashes.
    """

    hashes: Mapping[str, bytes] = field(repr=False)
    nobody: bytes = field(repr=False)

    @classmethod
    def read(cls, path: str, content: bytes) -> "Users":
        """Read a file.

        Raises:
            InvalidHtpasswd: A line is not a user with a bcrypt hash, or the file names a user twice.
        """
        hashes: dict[str, bytes] = {}
        cost = COSTS[0]
        for number, line in enumerate(content.split(b"\n"), start=1):
            try:
                text = line.decode().strip()
            except UnicodeDecodeError:
                raise InvalidHtpasswd(path, number, "it is not UTF-8") from None
            if not text or text.startswith("#"):
                continue
            user, _, hashed = text.partition(":")
            if not user or not hashed:
                raise InvalidHtpasswd(path, number, "it is not USER:HASH")
            if user in hashes:
                raise InvalidHtpasswd(path, number, f"user {user!r} is there already")
            cost = max(cost, _cost(path, number, hashed))
            hashes[user] = hashed.encode()
        return cls(MappingProxyType(hashes), _nobody(cost))


def _cost(path: str, number: int, hashed: str) -> int:
    found = _BCRYPT.fullmatch(hashed)
    if found is None:
        scheme = "a scheme other than bcrypt, or damaged"
        raise InvalidHtpasswd(path, number, f"the hash is of {scheme}: make it with `htpasswd -B`")
    cost = int(found[1])
    if not COSTS[0] <= cost <= COSTS[1]:
        raise InvalidHtpasswd(path, number, f"the cost {cost} is outside {COSTS[0]} to {COSTS[1]}")
    return cost


def _nobody(cost: int) -> bytes:
    # A salt and 31 characters at random: bcrypt checks it like any hash, and no known password has it.
    salt = bcrypt.gensalt(4)[7:]
    alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    digest = "".join(secrets.choice(alphabet) for _ in range(31))
    return f"$2b${cost:02}$".encode() + salt + digest.encode()


class Htpasswd(AccessPolicy):
    """Lets users in by name and password. A user may do everything, or everything that a rule allows.

    A check of a password costs some 2 to 300 ms of a thread, by the cost of its hash. The server remembers a
    right password for the time `remember`, as a hash with a secret of this process. For a day it checks such a
    password before others. The check of an unknown user takes as long as that of the costliest hash. The file
    may change at any time; the server refuses a deleted user within a second or so.

    Guesses don't lock users out: 64 checks wait at most, and the server slows down an address that sends wrong
    passwords. The server refuses a request without room at once, and tells its client to come again. A request
    that waits does not count for `InFlight`. If its client leaves, the check is given up.

    Args:
        path: The file; it is read at once.
        authorize: A further rule to ask; None to let each user do everything.
        realm: The name of the registry in the challenge, which clients show to their users.
        remember: How long a right password is remembered; zero for never.
        failures: Wrong passwords that an address may send a minute; 0 for any number. Behind a proxy all
            clients have one address, unless the server believes the proxy's `X-Forwarded-For`.
        clock: Tells the time in seconds, for the remembered passwords, the failures and the looks at the file.

    Raises:
        InvalidArgument: A time or a number is negative, or `realm` is not printable ASCII.
        InvalidHtpasswd: A line of the file is not valid; the error names the line.
        OSError: The file can't be read.
    """

    def __init__(
        self,
        path: Path | str,
        authorize: Authorize | None = None,
        realm: str = "registry",
        *,
        remember: timedelta = timedelta(minutes=1),
        failures: int = FAILURES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if remember < timedelta(0):
            raise InvalidArgument("remember", remember, "it is not a time")
        self._file: Final = WatchedFile(path, Users.read, clock=clock)
        self._authorize: Final = authorize
        self._challenge: Final = f'Basic realm={quoted("realm", realm)}, charset="UTF-8"'
        self._remember: Final = remember.total_seconds()
        self._clock: Final = clock
        self._secret: Final = secrets.token_bytes(32)
        self._right: Final = Remembered[Principal](REMEMBERED, clock)
        self._known: Final = Remembered[bool](REMEMBERED, clock)
        self._attempts: Final = Attempts(failures, clock)
        # Guesses take at most half of the processors. Checks of known passwords never wait behind them.
        self._guesses: Final = PasswordChecks(WAITING, ASKING)
        self._checks_of_known: Final = PasswordChecks()

    async def authenticate(self, connection: HTTPConnection) -> Principal:
        """Return the user, if name and password are right; `ANONYMOUS` for a request without credentials.

        Raises:
            Unauthenticated: The credentials are wrong or malformed.
            TooManyAttempts: Too many other passwords wait for a check, or the address sent too many wrong ones.
            ServerBusy: After the check, too many requests are under way.
            ClientGone: The client left before the end of the check.
        """
        credentials = credentials_of(connection, "Basic", self._challenge)
        if credentials is None:
            return ANONYMOUS
        user, password = user_and_password(credentials, self._challenge)
        secret = password.encode()
        named = user if secret else ""  # alone, it may be a token that is to stay out of the log
        if len(secret) > PASSWORD_LIMIT:
            raise Unauthenticated(self._challenge, f"a password has {PASSWORD_LIMIT} bytes at most", named)
        users = await self._file.current()
        hashed = users.hashes.get(user)
        key = self._key(user, secret, hashed or b"")
        if hashed is not None and (principal := self._right.find(key)) is not None:
            return principal
        if not await self._is_right(connection, user, key, secret, hashed or users.nobody) or hashed is None:
            raise Unauthenticated(self._challenge, "the user or the password is wrong", named)
        return Principal(user)

    async def _is_right(
        self, connection: HTTPConnection, user: str, key: bytes, secret: bytes, hashed: bytes
    ) -> bool:
        if self._known.find(key):
            checking = self._checks_of_known.check(key, secret, hashed, lambda: self._remembers(key))
            right = await while_there(connection, checking)
            self._keep(user, key)
            return right
        try:
            return await self._guessed(connection, user, key, secret, hashed)
        except TooManyAttempts as error:
            error.user = user if secret else ""
            raise

    async def _guessed(
        self, connection: HTTPConnection, user: str, key: bytes, secret: bytes, hashed: bytes
    ) -> bool:
        address = address_of(connection)

        def at_its_turn() -> bool:
            self._attempts.check(address)
            return self._remembers(key)

        with self._attempts.trying(address), aside(connection.scope):
            checking = self._guesses.check((address, key), secret, hashed, at_its_turn)
            right = await while_there(connection, checking)
            if right:
                self._keep(user, key)
            else:
                self._attempts.failed(address)
            return right

    def _remembers(self, key: bytes) -> bool:
        return self._right.find(key) is not None

    def _keep(self, user: str, key: bytes) -> None:
        if self._remember:
            now = self._clock()
            self._right.keep(key, Principal(user), now + self._remember)
            self._known.keep(key, True, now + KNOWN.total_seconds())

    async def reload(self) -> None:
        """Read the file anew."""
        await self._file.reload()

    def _key(self, user: str, password: bytes, hashed: bytes) -> bytes:
        # The key holds the hash: after a change of the user's line, no remembered answer is found.
        parts = b"\0".join((user.encode(), hashed, password))
        return hashlib.blake2b(parts, key=self._secret, digest_size=32).digest()

    async def allows(self, principal: Principal, need: Need) -> bool:
        """Say yes to a user, unless a rule says no."""
        return principal != ANONYMOUS and await agrees(self._authorize, principal, need)

    def challenge(self, needs: Sequence[Need]) -> str:  # noqa: ARG002
        """Return the challenge to bring a user and a password."""
        return self._challenge
