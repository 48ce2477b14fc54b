"""The drivers on obstore, a library in Rust: S3 by `obstore+s3:`, Google by `gs:`, Azure by `az:`.

`config` holds the options, and `stores` makes obstore's stores of them. Every request goes through `client`, which
bounds the requests at once and tries them again. Only `errors` knows obstore's errors. The verbs use these modules:
`reading`, `putting` (one object, its condition), `writing` (multipart), `listing`, `changing` (copies and
deletions). `clock` finds the times of writes, which obstore does not tell. `driver` holds the class that the engine
opens.

A key is the object `<prefix>/<key>`, as with the driver `s3`: both may open one bucket.
"""

from revstore_async.errors import MissingExtra

try:
    import obstore as _obstore  # noqa: F401 (asked for here, so that what is missing has one message)
except ImportError as _error:
    raise MissingExtra("the obstore driver", "obstore") from _error

from .config import ObjectStoreOptions
from .driver import ObjectStoreDriver

__all__ = ["ObjectStoreDriver", "ObjectStoreOptions"]
