"""The OCI distribution API as an ASGI application (extra `server`)."""

from ..errors import MissingExtra

try:
    import bcrypt  # noqa: F401
    import starlette  # noqa: F401
except ImportError as _error:
    raise MissingExtra("the server", "server") from _error

from .access.htpasswd import Htpasswd
from .access.policy import ANONYMOUS, AccessPolicy, Action, Authorize, Everybody, Need, Principal, ReadOnly
from .access.tokens import BearerTokens
from .app import RegistryApp
from .delegation import Delegation
from .observing.access_log import AccessLog
from .observing.health import Health
from .options import ServerOptions
from .running.assembly import served
from .running.in_flight import InFlight

__all__ = [
    "ANONYMOUS",
    "AccessLog",
    "AccessPolicy",
    "Action",
    "Authorize",
    "BearerTokens",
    "Delegation",
    "Everybody",
    "Health",
    "Htpasswd",
    "InFlight",
    "Need",
    "Principal",
    "ReadOnly",
    "RegistryApp",
    "ServerOptions",
    "served",
]
