"""The S3 driver, on aioboto3: AWS, MinIO and what else speaks S3. Docker Distribution reads the same bucket.

`config` is the table of options, and `client` the one way to the server (its turns, its tries). Frequent requests
go by the package `wire`: requests, signatures, sessions, bodies, answers. `errors` is the one place that knows the
errors of botocore and aiohttp. Above them stand the verbs: `reading`, `putting` (one object, one request, its
condition), `writing` (multipart uploads), `purging` (uploads of killed writers), `listing`, `composing`,
`deleting`; `driver` is what the engine holds in its hands.

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
