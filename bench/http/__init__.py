"""An HTTP/1.1 client that costs little, since it shares the machine with the measured server."""

from .client import Client, Refused
from .connection import Body
from .parsing import Answer

__all__ = ["Answer", "Body", "Client", "Refused"]
