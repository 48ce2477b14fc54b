"""The S3 driver, on aioboto3: for AWS, MinIO and other servers of S3. Docker Distribution reads the same bucket.

`config` holds the options. Every request goes through `client`, which bounds the requests at once and tries them
again. Frequent requests take the short way of the package `wire`: requests, signatures, sessions, bodies, answers.
Only `errors` knows the errors of botocore and aiohttp. The verbs use these modules: `reading`, `putting` (one
object, one request, its condition), `writing` (multipart uploads), `purging` (uploads of killed processes),
`listing`, `composing`, `deleting`. `driver` holds the class that the engine opens.

A key is the object `<prefix>/<key>`.
"""

from revstore_async.errors import IncompatiblePackage, MissingExtra

try:
    import aioboto3 as _aioboto3  # noqa: F401 (asked for here, so that what is missing has one message)
except ImportError as _error:
    raise MissingExtra("the S3 driver", "s3") from _error

try:
    from .config import S3Options
    from .driver import S3Driver
except ImportError as _error:
    _package = str(_error.name).partition(".")[0]
    raise IncompatiblePackage("the S3 driver", _package, str(_error)) from _error

__all__ = ["S3Driver", "S3Options"]
