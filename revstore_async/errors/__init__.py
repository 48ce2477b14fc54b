"""The one tree of exceptions.

A coarse branch tells the caller how to react; a leaf carries the facts as attributes:

    RevstoreError
        InvalidInput        change the input; nothing was written (also a ValueError; `WrongType` a TypeError, too)
        NotFound            the requested thing is not there (also a LookupError)
        Conflict            another writer was first, or a policy holds: read again, decide anew
        Damaged             stored bytes are wrong: put the right ones again
        Overloaded          this process has too much to do: the same call may succeed later
        StorageFailure      the storage can't, or can't now: `retryable` says which

`retryable` is on each class: whether the same call may succeed later as it is.
"""

from .access import *  # noqa: F403
from .arguments import *  # noqa: F403
from .base import *  # noqa: F403
from .collector import *  # noqa: F403
from .content import *  # noqa: F403
from .requests import *  # noqa: F403
from .signature_entries import *  # noqa: F403
from .signatures import *  # noqa: F403
from .signing_keys import *  # noqa: F403
from .storage import *  # noqa: F403
from .uploads import *  # noqa: F403
