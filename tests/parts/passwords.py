"""Lines of a file of users, with hashes that take little time."""

import bcrypt

CHEAP = bcrypt.gensalt(4)


def line(user: str, password: str = "secret", prefix: str = "2y") -> str:
    """Return a line as `htpasswd -B` writes it."""
    return f"{user}:{bcrypt.hashpw(password.encode(), CHEAP).decode().replace('2b', prefix, 1)}"


class Clock:
    """A clock that stands still until a test sets it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now
