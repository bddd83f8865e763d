"""The object store: put by SHA-256, verified on read, streamed with bounded memory.

Objects are named by their content, so that writing needs no lock: an object that exists is the right
one. Records are small named JSON objects, written after everything that they refer to.
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError

from services.common.canonical import JSON, canonical_json
from services.common.errors import Corrupt, Exhausted, NotFound, PermissionDenied, Unavailable
from services.common.objects import MANIFEST, Folder, FolderFile, Reference, is_key
from services.common.settings import StoreSettings
from services.common.writing import no_space_is_exhausted, replacing

_BLOCK = 1 << 20
_STREAM_TRIES = 4  # connections that one download may use; each goes on where the one before broke off
_RECORD_LIMIT = 4 << 20
_GONE = {"NoSuchKey", "NoSuchBucket", "NoSuchUpload"}
_FORBIDDEN = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled", "ExpiredToken"}
_FULL = {"XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "InsufficientCapacity"}


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as a listing shows it."""

    key: str
    size: int
    """In bytes."""
    modified: datetime
    """When it was written (UTC)."""


class Store:
    """A bucket. Safe to use from several threads; every call blocks."""

    def __init__(self, settings: StoreSettings) -> None:
        if settings.access_key is None or settings.secret_key is None:
            raise ValueError("the settings bring no keys")
        # Two attempts more than the first, within seconds: callers repeat whole steps, so that a store
        # that is away for longer is waited for in one place alone.
        retry = urllib3.Retry(total=4, connect=4, read=2, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504))
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=5.0, read=settings.timeout_seconds), maxsize=32, retries=retry
        )
        self._client = Minio(
            endpoint=settings.endpoint,
            access_key=settings.access_key.get_secret_value(),
            secret_key=settings.secret_key.get_secret_value(),
            secure=settings.secure,
            region=settings.region,
            http_client=self._http,
        )
        self._bucket = settings.bucket
        self._part_size = settings.part_size

    def ensure_bucket(self) -> None:
        """Makes the bucket if it does not exist; also the check that the store answers at all.

        Raises:
            Unavailable: `STORE_UNAVAILABLE`.
            PermissionDenied: `STORE_FORBIDDEN`.
        """
        with self._asking(self._bucket):
            if not self._client.bucket_exists(bucket_name=self._bucket):
                try:
                    self._client.make_bucket(bucket_name=self._bucket)
                except S3Error as error:
                    if error.code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                        raise

    def put_bytes(self, area: str, data: bytes, suffix: str = "") -> Reference:
        """Stores bytes under `area/<sha256>suffix`; nothing is sent when they are there.

        Raises:
            Exhausted: `STORE_FULL`.
            Unavailable: `STORE_UNAVAILABLE`.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        reference = Reference(f"{area}/{sha256}{suffix}", sha256, len(data))
        self._put(reference, BytesIO(data))
        return reference

    def put_file(self, area: str, path: Path, suffix: str = "") -> Reference:
        """Stores a file, as `put_bytes`, streamed."""
        sha256, size = hash_file(path)
        reference = Reference(f"{area}/{sha256}{suffix}", sha256, size)
        with path.open("rb") as file:
            self._put(reference, file)
        return reference

    def put_folder(self, area: str, folder: Path) -> Reference:
        """Stores a folder's files under `area/<sha256>/`, its manifest last.

        Args:
            area: for example `models`.
            folder: its regular files are taken, at any depth; links are followed.

        Returns:
            The manifest's reference. Its SHA-256 is the folder's: equal folders have one name.
        """
        paths = sorted(p for p in folder.rglob("*") if p.is_file())
        hashed = [(p.relative_to(folder).as_posix(), *hash_file(p)) for p in paths]
        files = tuple(FolderFile(path, sha256, size) for path, sha256, size in hashed)
        return self.put_manifest(area, Folder(files), {f.path: folder / f.path for f in files})

    def put_manifest(self, area: str, folder: Folder, sources: dict[str, Path]) -> Reference:
        """As `put_folder`, of files whose digests are known.

        Args:
            area: for example `models`.
            folder: the files.
            sources: where each file's bytes are.
        """
        reference = self.folder_reference(area, folder)
        if self.stat(reference.key) == reference.size:
            return reference
        for file in folder:
            # What put_folder_file brought before needs no source any more.
            if file.path in sources or self.stat(f"{reference.key.removesuffix(MANIFEST)}{file.path}") != file.size:
                self.put_folder_file(area, folder, file.path, sources[file.path])
        self._put(reference, BytesIO(folder.manifest()))
        return reference

    def put_folder_file(self, area: str, folder: Folder, path: str, source: Path) -> None:
        """Stores one file of a folder ahead of its manifest, so that a large folder is brought file by file.

        Args:
            area: for example `models`.
            folder: all its files; their digests name it.
            path: the file, as the folder names it.
            source: where its bytes are.
        """
        file = folder.file(path)
        base = self.folder_reference(area, folder).key.removesuffix(MANIFEST)
        with source.open("rb") as data:
            self._put(Reference(f"{base}{path}", file.sha256, file.size), data)

    @staticmethod
    def folder_reference(area: str, folder: Folder) -> Reference:
        """Gives the reference that a folder has, or will have, in the store."""
        manifest = folder.manifest()
        sha256 = hashlib.sha256(manifest).hexdigest()
        return Reference(f"{area}/{sha256}/{MANIFEST}", sha256, len(manifest))

    def read(self, reference: Reference, limit: int = 256 << 20) -> bytes:
        """Reads an object into memory and verifies it.

        Args:
            reference: the object.
            limit: bytes at the most.

        Raises:
            NotFound: `NO_SUCH_OBJECT`.
            Corrupt: `CORRUPT_OBJECT`.
            Exhausted: `OBJECT_TOO_LARGE`.
            Unavailable: `STORE_UNAVAILABLE`.
        """
        if reference.size > limit:
            raise Exhausted(
                "OBJECT_TOO_LARGE", f"{reference.key} has {reference.size:,} bytes; {limit:,} are read at most"
            )
        return b"".join(self._verified(reference))

    def download(self, reference: Reference, path: Path) -> None:
        """Streams an object to a file, which appears when it is whole and verified.

        Raises:
            Exhausted: `DISK_FULL`; otherwise as `read`.
        """
        with replacing(path) as file:
            for block in self._verified(reference):
                file.write(block)

    def stream(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Streams a range of an object, unverified; a broken connection is taken up where it broke.

        Raises:
            NotFound: `NO_SUCH_OBJECT`.
            Unavailable: `STORE_UNAVAILABLE`.
        """
        if length == 0:
            return
        done = 0
        for attempt in range(_STREAM_TRIES):
            before = done
            try:
                with (
                    self._asking(key),
                    self._opened(key, offset + done, None if length is None else length - done) as body,
                ):
                    for block in body.stream(_BLOCK):
                        done += len(block)
                        yield block
                    return
            except Unavailable:
                if attempt == _STREAM_TRIES - 1 or (done == before and attempt > 0):
                    raise

    def folder(self, reference: Reference) -> Folder:
        """Reads and verifies a folder's manifest.

        Raises:
            Corrupt: `BAD_MANIFEST`; otherwise as `read`.
        """
        data = self.read(reference, limit=_RECORD_LIMIT)
        try:
            return Folder.from_json(json.loads(data))
        except ValueError as error:
            raise Corrupt("BAD_MANIFEST", f"{reference.key} is no folder's manifest") from error

    def file_of(self, reference: Reference, path: str) -> Reference:
        """Gives the reference of one file of a folder.

        Raises:
            NotFound: `NO_SUCH_FILE`; otherwise as `folder`.
        """
        file = self.folder(reference).file(path)
        return Reference(f"{reference.key.removesuffix(MANIFEST)}{path}", file.sha256, file.size)

    def download_folder(self, reference: Reference, target: Path, only: Collection[str] | None = None) -> None:
        """Downloads a folder's files, each verified.

        Args:
            reference: of its manifest.
            target: a folder; made if needed.
            only: paths to take, all of them when None.
        """
        base = reference.key.removesuffix(MANIFEST)
        for file in self.folder(reference):
            if only is None or file.path in only:
                self.download(Reference(f"{base}{file.path}", file.sha256, file.size), target / file.path)

    def put_record(self, key: str, value: JSON) -> None:
        """Writes a small named JSON object, over what was there."""
        self._check(key)
        data = canonical_json(value)
        with self._asking(key):
            self._client.put_object(
                bucket_name=self._bucket,
                object_name=key,
                data=BytesIO(data),
                length=len(data),
                content_type="application/json",
            )

    def get_record(self, key: str) -> Any:
        """Reads a small named JSON object; None when there is none.

        Raises:
            Corrupt: `CORRUPT_RECORD`: it is no JSON.
        """
        try:
            data = b"".join(self.stream(key))
        except NotFound:
            return None
        try:
            return json.loads(data)
        except ValueError as error:
            raise Corrupt("CORRUPT_RECORD", f"the record {key} is no JSON; delete it to have it made anew") from error

    def stat(self, key: str) -> int | None:
        """Gives an object's size in bytes, None when there is none."""
        self._check(key)
        try:
            with self._asking(key):
                found = self._client.stat_object(bucket_name=self._bucket, object_name=key)
        except NotFound:
            return None
        return found.size

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Lists objects whose keys begin with a prefix, in the order of keys."""
        with self._asking(prefix):
            for item in self._client.list_objects(bucket_name=self._bucket, prefix=prefix, recursive=True):
                if not item.is_dir:
                    yield Entry(item.object_name, item.size, item.last_modified)

    def list(self, prefix: str) -> Iterator[str]:
        """Lists keys that begin with a prefix, in order."""
        for entry in self.entries(prefix):
            yield entry.key

    def delete(self, key: str) -> None:
        """Deletes an object; one that is not there is no error."""
        self._check(key)
        with self._asking(key):
            self._client.remove_object(bucket_name=self._bucket, object_name=key)

    def _put(self, reference: Reference, data: BinaryIO) -> None:
        if self.stat(reference.key) == reference.size:
            return
        with self._asking(reference.key):
            self._client.put_object(
                bucket_name=self._bucket,
                object_name=reference.key,
                data=data,
                length=reference.size,
                part_size=self._part_size,
                num_parallel_uploads=1,
            )

    def _verified(self, reference: Reference) -> Iterator[bytes]:
        seen = hashlib.sha256()
        size = 0
        for block in self.stream(reference.key):
            seen.update(block)
            size += len(block)
            if size > reference.size:
                break
            yield block
        if size != reference.size or seen.hexdigest() != reference.sha256:
            raise Corrupt(
                "CORRUPT_OBJECT",
                f"{reference.key} is not what its SHA-256 says ({size:,} bytes, expected {reference.size:,}): "
                "it was changed or damaged in the store; delete it and run again",
                key=reference.key,
            )

    @contextmanager
    def _opened(self, key: str, offset: int, length: int | None) -> Iterator[urllib3.BaseHTTPResponse]:
        self._check(key)
        response = self._client.get_object(
            bucket_name=self._bucket, object_name=key, offset=offset, length=0 if length is None else length
        )
        try:
            yield response
        finally:
            response.close()
            response.release_conn()

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turns the client's errors into ours, and lets go of connections that lead to no S3 server."""
        with _translated(what):
            try:
                yield
            except (InvalidResponseError, ServerError):
                # Seen of a MinIO that was starting: the same answer for minutes, on the one connection alone.
                self._http.clear()
                raise

    @staticmethod
    def _check(key: str) -> None:
        if not is_key(key):
            raise ValueError(f"{key!r} is no key: keys are built from areas, hashes and ids alone")


def hash_file(path: Path) -> tuple[str, int]:
    """Gives a file's hexadecimal SHA-256 and its size in bytes."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return sha256, file.tell()


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turns the client's errors into ours."""
    try:
        with no_space_is_exhausted():
            yield
    except S3Error as error:
        if error.code in _GONE:
            raise NotFound("NO_SUCH_OBJECT", f"{what} is not in the store", key=what) from error
        if error.code in _FORBIDDEN:
            raise PermissionDenied(
                "STORE_FORBIDDEN", f"the store refuses {what}: {error.code}; check its access and secret key"
            ) from error
        if error.code in _FULL or _says_full(str(error.message)):
            raise Exhausted("STORE_FULL", f"the store is full ({error.code}): {what} was not written") from error
        raise Unavailable("STORE_UNAVAILABLE", f"the store failed on {what}: {error.code} {error.message}") from error
    except (HTTPError, ServerError, InvalidResponseError, MinioException) as error:
        if _says_full(str(error)):
            raise Exhausted("STORE_FULL", f"the store is full: {what} was not written") from error
        told = f" ({str(error)[:160]})" if isinstance(error, InvalidResponseError | ServerError) else ""
        raise Unavailable(
            "STORE_UNAVAILABLE", f"the store does not answer for {what}: {type(error).__name__}{told}"
        ) from error


def _says_full(message: str) -> bool:
    # SeaweedFS answers InternalError with its file system's words or its own.
    text = message.lower()
    return any(words in text for words in ("no space left", "no free volumes", "no writable volumes", "storage full"))
