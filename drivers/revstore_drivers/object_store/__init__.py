"""The drivers on obstore, which is Rust: S3 by `obstore+s3:`, Google by `gs:`, Azure by `az:`.

`config` is the table of options, `stores` makes obstore's stores of them, `client` is the one way to the server
(its turns, its tries), `errors` the one place that knows obstore's errors. Above them stand the verbs:
`reading`, `putting` (one object, its condition), `writing` (multipart), `listing`, `changing` (copies and
deletions); `clock` tells the times that obstore keeps for itself. `driver` is the driver that the engine opens.

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
