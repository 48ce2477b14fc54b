"""The OCI distribution API as an ASGI application (extra `server`)."""

from ..errors import MissingExtra

try:
    import bcrypt  # noqa: F401
    import starlette  # noqa: F401
except ImportError as error:
    raise MissingExtra("the server", "server") from error

from .access import (
    ANONYMOUS,
    AccessPolicy,
    Action,
    Authorize,
    Everybody,
    Need,
    Principal,
    ReadOnly,
)
from .access_log import AccessLog
from .app import RegistryApp
from .delegation import Delegation
from .health import Health
from .htpasswd import Htpasswd
from .in_flight import InFlight
from .options import ServerOptions
from .tokens import BearerTokens

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
]
