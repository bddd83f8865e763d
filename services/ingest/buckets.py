"""Reads objects of S3 buckets that a setting names: where users keep texts and models, not our own store."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError

from services.common.errors import InvalidInput, NotFound, PermissionDenied, Unavailable
from services.common.settings import StoreSettings


@dataclass(frozen=True, slots=True)
class Item:
    """An object."""

    bucket: str
    key: str
    size: int
    etag: str
    """Changes when the content does; no checksum of it."""


class Buckets:
    """Objects below the prefixes that may be read. Every call blocks, none for ever."""

    def __init__(self, settings: StoreSettings, prefixes: tuple[str, ...]) -> None:
        """`prefixes` are `bucket` or `bucket/prefix`; the server and the keys are those of `settings`."""
        retry = urllib3.Retry(total=3, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504))
        timeout = urllib3.Timeout(connect=5.0, read=settings.timeout_seconds)
        access, secret = settings.access_key, settings.secret_key
        self._prefixes = prefixes
        self._client = Minio(
            endpoint=settings.endpoint,
            access_key=access.get_secret_value() if access else None,
            secret_key=secret.get_secret_value() if secret else None,
            secure=settings.secure,
            region=settings.region,
            http_client=urllib3.PoolManager(timeout=timeout, retries=retry),
        )

    def find(self, address: str, missing: str) -> Item:
        """Returns the object `bucket/key`.

        Raises InvalidInput BAD_URI, PermissionDenied OUTSIDE_ROOTS, NotFound with the reason `missing`,
        Unavailable.
        """
        bucket, key = self._split(address)
        with _translated(address, missing):
            found = self._client.stat_object(bucket_name=bucket, object_name=key)
        return Item(bucket, key, found.size or 0, found.etag or "")

    def list(self, address: str, missing: str) -> tuple[Item, ...]:
        """Returns the objects in the folder `bucket/prefix`, not those in folders below it. Raises as
        `find`."""
        bucket, prefix = self._split(address)
        with _translated(address, missing):
            listed = self._client.list_objects(bucket_name=bucket, prefix=f"{prefix.rstrip('/')}/")
            found = tuple(Item(bucket, o.object_name or "", o.size or 0, o.etag or "") for o in listed if not o.is_dir)
        if not found:
            raise NotFound(missing, f"'s3:{address}' holds no object")
        return found

    def stream(self, item: Item, offset: int, missing: str) -> Iterator[bytes]:
        """Yields an object's bytes from `offset` on. Raises NotFound, Unavailable."""
        with _translated(f"{item.bucket}/{item.key}", missing):
            answer = self._client.get_object(bucket_name=item.bucket, object_name=item.key, offset=offset)
            try:
                yield from answer.stream(1 << 20)
            finally:
                answer.close()
                answer.release_conn()

    def _split(self, address: str) -> tuple[str, str]:
        bucket, _, key = address.removeprefix("//").partition("/")
        if not bucket or not key:
            raise InvalidInput("BAD_URI", f"'s3:{address}' is not of the form s3:BUCKET/KEY")
        if ".." in key.split("/"):
            # A name like any other to S3, but a client on the way may fold it, after the prefix was checked.
            raise InvalidInput("BAD_URI", f"'s3:{address}' has '..' in it")
        if not any(_below(f"{bucket}/{key}", prefix) for prefix in self._prefixes):
            names = ", ".join(self._prefixes) or "none"
            raise PermissionDenied(
                "OUTSIDE_ROOTS",
                f"'s3:{address}' is not below a prefix that may be read (BOOKMILL_INGEST_S3_PREFIXES: {names})",
            )
        return bucket, key


def _below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix.rstrip('/')}/")


@contextmanager
def _translated(address: str, missing: str) -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code in ("NoSuchKey", "NoSuchBucket"):
            raise NotFound(missing, f"'s3:{address}' does not exist") from error
        if error.code in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
            raise PermissionDenied(
                "OUTSIDE_ROOTS", f"the service's keys may not read 's3:{address}': {error.code}"
            ) from error
        raise Unavailable("SOURCE_UNAVAILABLE", f"'s3:{address}': {error.code} {error.message}") from error
    except (HTTPError, MinioException, OSError) as error:
        raise Unavailable("SOURCE_UNAVAILABLE", f"'s3:{address}': {type(error).__name__}") from error
    except ValueError as error:
        # What the client says of a name that no bucket can have.
        raise InvalidInput("BAD_URI", f"'s3:{address}': {error}") from error
