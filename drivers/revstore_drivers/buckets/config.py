"""The options that the drivers of buckets share."""

from dataclasses import dataclass

from revstore_async.driver import METADATA_TIMEOUT

from .options import AZURE, MIB, S3, choice, endpoint, number, option, part_bytes, seconds, secret, text


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketOptions:
    """The options of a bucket's driver. Each field with metadata is an option, which the metadata describe.

    Attributes:
        bucket: The bucket, or on Azure the container.
        prefix: The beginning of each name in the bucket, before the key; Docker Distribution's `rootdirectory`.
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = option(
        endpoint,
        None,
        "the server; left open for the cloud's own",
        of=(S3, AZURE),
        variables=("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    )
    public_endpoint_url: str | None = option(
        endpoint, None, "the server as clients see it, for signed URLs; left open for endpoint_url", of=(S3,)
    )
    region: str | None = option(
        text, None, "the bucket's region", of=(S3,), variables=("AWS_REGION", "AWS_DEFAULT_REGION")
    )
    addressing: str | None = option(
        choice("path", "virtual"),
        None,
        "where the bucket's name goes; left open: path with an endpoint_url, virtual without",
        of=(S3,),
    )
    part_size: int = option(part_bytes, 8 * MIB, "bytes of each part but the last, such as 16MiB")
    storage_class: str | None = option(text, None, "the storage class of what is written")
    sse: str | None = option(
        choice("AES256", "aws:kms", "aws:kms:dsse"),
        None,
        "the server-side encryption of what is written",
        of=(S3,),
    )
    kms_key: str | None = option(text, None, "the key of aws:kms; left open for AWS's own", of=(S3,))
    connect_timeout: float = option(seconds, 5.0, "seconds for a connection")
    idle_timeout: float = option(
        seconds, 5.0, "seconds after which a reader without a read gives its connection back"
    )
    metadata_timeout: float = option(
        seconds,
        METADATA_TIMEOUT.total_seconds(),
        "seconds for the metadata of one request, over all tries; layers have those above",
    )
    retries: int = option(number(0, 20), 3, "tries after the first, of what may be tried again")
    access_key_id: str | None = secret("explicit credentials, as an argument only", of=(S3,))
    secret_access_key: str | None = secret("explicit credentials, as an argument only", of=(S3,))
    session_token: str | None = secret("explicit credentials, as an argument only", of=(S3,))

    @property
    def path_style(self) -> bool:
        """Whether the bucket's name stands in the path of a request, not in its host."""
        return self.addressing == "path" or (self.addressing is None and self.endpoint_url is not None)
