"""obstore's stores, made of the options.

obstore itself tries only the parts of an upload again, since each try of a part sends the same bytes. It can't tell
whether an earlier try of a conditional write may have had its effect, which decides the meaning of a failed
condition. Therefore the driver repeats all other requests itself.
"""

from datetime import timedelta
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from revstore_async.errors import InvalidStoreURL

from .config import AZURE, GOOGLE, ObjectStoreOptions

Store = S3Store | GCSStore | AzureStore

# obstore's timeout bounds a whole request with its body, and a layer may take hours. `read_timeout` bounds it
# instead.
_WHOLE: Final = timedelta(days=1)


def make_store(options: ObjectStoreOptions, *, retries: int = 0, endpoint: str | None = None) -> Store:
    """Make a store, without a request.

    Args:
        options: The store's options.
        retries: obstore's own tries after the first.
        endpoint: A server that replaces the options' own; None for that.

    Raises:
        InvalidStoreURL: obstore refuses the options.
    """
    address = endpoint or options.endpoint_url
    common: dict[str, Any] = {
        "prefix": options.prefix or None,
        "client_options": _client_options(options, address),
        "retry_config": {"max_retries": retries, "retry_timeout": _WHOLE},
    }
    try:
        return _made(options, address, common)
    except (BaseError, ValueError, OSError) as error:
        raise InvalidStoreURL(options.shown, str(error).partition("\n")[0]) from error


def _made(options: ObjectStoreOptions, address: str | None, common: dict[str, Any]) -> Store:
    if options.scheme == GOOGLE:
        config: dict[str, Any] = {"service_account": options.service_account}
        return GCSStore(options.bucket, **_given(config), **common)
    if options.scheme == AZURE:
        config = {
            "account_name": options.account,
            "account_key": options.access_key,
            "endpoint": address,
        }
        return AzureStore(options.bucket, **_given(config), **common)
    if address is not None and not options.path_style:
        scheme, _, host = address.partition("://")
        address = f"{scheme}://{options.bucket}.{host}"
    config = {
        "endpoint": address,
        "region": options.region,
        "virtual_hosted_style_request": not options.path_style,
        "access_key_id": options.access_key_id,
        "secret_access_key": options.secret_access_key,
        "session_token": options.session_token,
        "server_side_encryption": options.sse,
        "sse_kms_key_id": options.kms_key,
        "disable_bulk_delete": True
        if not options.bulk_delete
        else None,  # else it takes one for a single key too
    }
    return S3Store(options.bucket, **_given(config), **common)


def _given(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if value is not None}


def _client_options(options: ObjectStoreOptions, address: str | None) -> dict[str, Any]:
    config: dict[str, Any] = {
        "allow_http": address is not None and address.startswith("http:"),
        "connect_timeout": timedelta(seconds=options.connect_timeout),
        "read_timeout": timedelta(seconds=options.read_timeout),
        "timeout": _WHOLE,
        "pool_max_idle_per_host": str(options.pool),
        "user_agent": _agent(),
    }
    if options.verify is False:
        config["allow_invalid_certificates"] = True
    elif isinstance(options.verify, str):
        config["root_certificate"] = Path(options.verify).read_text(encoding="ascii")
    return config


@cache
def _agent() -> str:
    try:
        return f"revstore-async/{version('revstore-async')}"
    except PackageNotFoundError:
        return "revstore-async/0"
