"""One bucket of an S3 store: references, objects, and presigned URLs.

boto3 is imported when a store is first used, so that listing drills stays fast.
"""

from __future__ import annotations

import base64
import hashlib
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk import s3client
from drillbook.sdk.answer_limits import Budget
from drillbook.sdk.deadline import current, under
from drillbook.sdk.host import Deadline
from drillbook.sdk.s3errors import CHANGED, MISSING, NO_RANGE, asking, place_of, unless
from drillbook.sdk.service import S3

MANIFEST_LIMIT = 256 << 20
"""Default size limit, in bytes, for an object that is read into memory."""
MOST_LISTED = 2_000_000
"""Maximum number of objects and versions in one list."""
MOST_KEYS = 512 << 20
"""Maximum total size in bytes of the keys in one list."""
CHUNK = 1 << 20
TIDY_S = 10.0
"""Seconds that the cleanup of an unfinished write may take after the step's deadline has passed."""
_LISTED = ("Contents", "Versions", "DeleteMarkers")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object.

    ``marker`` is true for a delete marker. ``id`` is empty when the bucket keeps no versions.
    """

    key: str
    id: str
    etag: str
    size: int
    latest: bool
    marker: bool
    at: datetime


def _version(row: dict[str, Any]) -> Version:
    return Version(
        row["Key"],
        str(row["VersionId"]),
        str(row.get("ETag", "")).strip('"'),
        int(row.get("Size", 0)),
        bool(row["IsLatest"]),
        False,
        row["LastModified"],
    )


def base64_of(sha256: str) -> str:
    """Convert a hexadecimal digest to base64, which the checksum headers of S3 require."""
    return base64.b64encode(bytes.fromhex(sha256)).decode("ascii")


class Store:
    """The bucket of one S3 service, as the controller reaches it.

    When the store reports an error, CouldNotVerify is raised with the message of the store. A missing object is not an
    error.
    """

    def __init__(self, service: S3) -> None:
        """Prepare the access to ``service``.

        The first request opens the connection. Requests end at the deadline of the calling step.
        """
        self.service = service
        self._deadline = current()

    @cached_property
    def _client(self) -> Any:
        client, lines = s3client.made(self.service, self._deadline, place_of(self.service))
        weakref.finalize(self, lines.close)
        return client

    def _asking(self, what: str) -> AbstractContextManager[None]:
        return asking(self.service, self._deadline, what)

    def in_time(self) -> Store:
        """Return a store for the cleanup of an unfinished write.

        Before the step's deadline, the result is ``self``. After the deadline, it is a new Store whose requests have
        ``TIDY_S`` seconds.
        """
        if self._deadline.remaining() and not self._deadline.cancel.is_set():
            return self
        with under(Deadline.after(TIDY_S)):
            return Store(self.service)

    def check(self) -> None:
        """Check that the bucket exists, and that the credentials permit reading. Raises NotReady when reading fails."""
        try:
            with self._asking(f"show the bucket {self.service.bucket}"):
                self._client.list_objects_v2(Bucket=self.service.bucket, MaxKeys=1)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from error

    def size(self, key: str) -> int | None:
        """Return the size of an object in bytes, or None when it does not exist."""
        with self._asking(f"examine {key}"):
            answer = unless(MISSING, lambda: self._client.head_object(Bucket=self.service.bucket, Key=key))
            return None if answer is None else int(answer["ContentLength"])

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the size in bytes of every object below ``prefix``. Each key is the object's key without ``prefix``."""
        return {name: size for name, (size, _) in self.modified(prefix).items()}

    def modified(self, prefix: str) -> dict[str, tuple[int, datetime]]:
        """Return the size in bytes and the time of the last write of every object below ``prefix``.

        Each key of the result is the object's key without ``prefix``.
        """
        return {
            row["Key"][len(prefix) :]: (int(row["Size"]), row["LastModified"])
            for page in self._pages("list_objects_v2", prefix)
            for row in page.get("Contents", [])
            if row["Key"].startswith(prefix)  # some stores also list those of `a/` for `a//`
        }

    def _pages(self, operation: str, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield the pages of the list of objects below ``prefix``.

        One limit holds for all pages together. Raises CouldNotVerify when the list exceeds it, or when the store fails.
        """
        budget = Budget(f"the list of {prefix} in {place_of(self.service)}", MOST_KEYS, MOST_LISTED)
        with self._asking(f"list {prefix}"):
            for page in self._client.get_paginator(operation).paginate(Bucket=self.service.bucket, Prefix=prefix):
                keys = [row["Key"] for kind in _LISTED for row in page.get(kind, [])]
                budget.take(sum(map(len, keys)), len(keys))
                yield page

    def get(self, key: str, *, limit: int = MANIFEST_LIMIT) -> bytes | None:
        """Return the content of an object, or None when it does not exist.

        Raises CouldNotVerify when it is larger than ``limit`` bytes.
        """
        with self._asking(f"read {key}"):
            answer = unless(MISSING, lambda: self._client.get_object(Bucket=self.service.bucket, Key=key))
            if answer is None:
                return None
            with closing(answer["Body"]) as body:
                if answer["ContentLength"] > limit:
                    raise CouldNotVerify(
                        f"{key} has {answer['ContentLength']} bytes, which is more than the limit of {limit}"
                    )
                data = bytearray()
                while piece := body.read(CHUNK):  # a read at the end raises when the answer was cut off
                    data += piece
                    if len(data) > limit:
                        raise CouldNotVerify(f"{key} has more bytes than the limit of {limit}")
                return bytes(data)

    def beginning(self, key: str, limit: int) -> bytes:
        """Return the first ``limit`` bytes of an object. The result is empty when the object does not exist or is empty."""
        asked = {"Bucket": self.service.bucket, "Key": key, "Range": f"bytes=0-{limit - 1}"}
        with self._asking(f"read {key}"):
            answer = unless((*MISSING, *NO_RANGE), lambda: self._client.get_object(**asked))
            if answer is None:
                return b""
            with closing(answer["Body"]) as body:
                return bytes(body.read(limit))

    def digest(self, key: str, deadline: Deadline, *, version: str = "", etag: str = "") -> tuple[int, str] | None:
        """Return the size in bytes and the SHA-256 of an object's content. Returns None when the object does not exist.

        When ``version`` or ``etag`` is given, only this version is read. None then means that this version no longer
        exists.
        """
        pinned = {**({"VersionId": version} if version else {}), **({"IfMatch": f'"{etag}"'} if etag else {})}
        gone = (*MISSING, *(CHANGED if pinned else ()))
        with self._asking(f"read {key}"):
            answer = unless(gone, lambda: self._client.get_object(Bucket=self.service.bucket, Key=key, **pinned))
            if answer is None:
                return None
            size, digest = 0, hashlib.sha256()
            with closing(answer["Body"]) as body:
                for data in body.iter_chunks(CHUNK):
                    deadline.check()
                    size += len(data)
                    digest.update(data)
        return size, digest.hexdigest()

    def put(self, key: str, data: bytes, sha256: str, *, overwrite: bool = False) -> None:
        """Write an object whose content has the digest ``sha256``. The store refuses any other content.

        Raises StepFailed when the object exists already and ``overwrite`` is False.
        """
        only_new: dict[str, Any] = {} if overwrite else {"IfNoneMatch": "*"}
        try:
            with self._asking(f"write {key}"):
                self._client.put_object(
                    Bucket=self.service.bucket, Key=key, Body=data, ChecksumSHA256=base64_of(sha256), **only_new
                )
        except CouldNotVerify as error:
            if "PreconditionFailed" in error.message:
                raise StepFailed(f"s3://{self.service.bucket}/{key} already exists") from error
            raise

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects. An object that does not exist counts as deleted."""
        for first in range(0, len(keys), 1000):
            batch: Any = {"Objects": [{"Key": key} for key in keys[first : first + 1000]], "Quiet": True}
            store = self.in_time()
            with store._asking("delete the uploaded files"):
                answer = store._client.delete_objects(Bucket=self.service.bucket, Delete=batch)
            if answer.get("Errors"):
                raise CouldNotVerify(f"the store {self.service.name} did not delete {len(answer['Errors'])} objects")

    def versioned(self) -> bool:
        """Return True when the bucket keeps old versions of its objects."""
        with self._asking(f"show the versioning of {self.service.bucket}"):
            answer = self._client.get_bucket_versioning(Bucket=self.service.bucket)
            return bool(answer.get("Status") == "Enabled")

    def history(self, prefix: str) -> dict[str, list[Version]]:
        """Return a mapping from the key of each object below ``prefix`` to the object's versions and delete markers.

        Each value is a list: first all versions, newest first, and then all delete markers, newest first.
        """
        by_key: dict[str, list[Version]] = {}
        markers: list[Version] = []
        for page in self._pages("list_object_versions", prefix):
            for version in map(_version, page.get("Versions", [])):
                by_key.setdefault(version.key, []).append(version)
            markers += (replace(_version(row), marker=True) for row in page.get("DeleteMarkers", []))
        for version in markers:
            by_key.setdefault(version.key, []).append(version)
        return by_key

    def live(self, prefix: str) -> dict[str, Version]:
        """Return a mapping from the key of each existing object below ``prefix`` to the object's current version.

        When the bucket keeps no versions, the ids of the versions are empty.
        """
        if self.versioned():
            return {
                key: version
                for key, versions in self.history(prefix).items()
                for version in versions
                if version.latest and not version.marker
            }
        return {
            row["Key"]: Version(row["Key"], "", row["ETag"].strip('"'), int(row["Size"]), True, False, row["LastModified"])
            for page in self._pages("list_objects_v2", prefix)
            for row in page.get("Contents", [])
        }

    def mark(self, key: str, name: str, version: str = "") -> str | None:
        """Return the metadata field ``name`` of an object or of one of its versions.

        Return None when the object or the field does not exist.
        """
        pinned = {"VersionId": version} if version else {}
        with self._asking(f"examine {key}"):
            answer = unless(MISSING, lambda: self._client.head_object(Bucket=self.service.bucket, Key=key, **pinned))
            return None if answer is None else answer.get("Metadata", {}).get(name)

    def copy(self, source: Version, bucket: str, key: str) -> bool:
        """Let the store copy the version ``source`` from another bucket, ``bucket``, to ``key`` in the bucket of this service.

        Returns False when the version no longer exists or was replaced. Raises CouldNotVerify when the store fails.
        """
        origin = {"Bucket": bucket, "Key": source.key, **({"VersionId": source.id} if source.id else {})}
        gone = (*MISSING, *CHANGED)
        with self._asking(f"copy {source.key} to {key}"):
            return (
                unless(
                    gone,
                    lambda: self._client.copy_object(
                        Bucket=self.service.bucket, Key=key, CopySource=origin, CopySourceIfMatch=f'"{source.etag}"'
                    ),
                )
                is not None
            )

    def overwrite(self, over: Version, data: bytes, marks: dict[str, str]) -> bool:
        """Overwrite an object with ``data`` and the metadata ``marks``, if ``over`` is still its current version.

        Returns False when another version has replaced ``over``.
        """
        with self._asking(f"write {over.key}"):
            return (
                unless(
                    (*MISSING, *CHANGED),
                    lambda: self._client.put_object(
                        Bucket=self.service.bucket, Key=over.key, Body=data, IfMatch=f'"{over.etag}"', Metadata=marks
                    ),
                )
                is not None
            )

    def delete_versions(self, versions: Sequence[tuple[str, str]]) -> None:
        """Delete ``versions`` permanently. They are pairs of key and version id. Raises CouldNotVerify when the store fails.

        When the id is empty, the object itself is deleted. A bucket with versioning then keeps all versions of the object.
        """
        for first in range(0, len(versions), 1000):
            batch: Any = {
                "Quiet": True,
                "Objects": [
                    {"Key": key, **({"VersionId": id_} if id_ else {})} for key, id_ in versions[first : first + 1000]
                ],
            }
            with self._asking(f"delete {len(batch['Objects'])} objects"):
                answer = self._client.delete_objects(Bucket=self.service.bucket, Delete=batch)
            if answer.get("Errors"):
                first_error = answer["Errors"][0]
                raise CouldNotVerify(
                    f"the store {self.service.name} did not delete {len(answer['Errors'])} objects, "
                    f"such as {first_error.get('Key')}: {first_error.get('Code')}"
                )

    def sign_get(self, key: str, seconds: float, version: str = "") -> str:
        """Return a URL by which anyone can read the object for ``seconds``.

        ``version``: id of a version of the object. When it is given, this version is read.
        """
        return self._sign("get_object", {"Key": key, **({"VersionId": version} if version else {})}, seconds)

    def sign_put(self, key: str, sha256: str, seconds: float) -> str:
        """Return a URL for uploading the object.

        The upload must have ``sha256`` in the header ``x-amz-checksum-sha256``. The store refuses other content.
        """
        return self._sign("put_object", {"Key": key, "ChecksumSHA256": base64_of(sha256)}, seconds)

    def sign_part(self, key: str, upload: str, number: int, sha256: str, seconds: float) -> str:
        """Return a URL for uploading the part ``number`` (from 1) of a multipart upload; see ``sign_put``."""
        part = {"Key": key, "UploadId": upload, "PartNumber": number, "ChecksumSHA256": base64_of(sha256)}
        return self._sign("upload_part", part, seconds)

    def _sign(self, what: str, params: dict[str, Any], seconds: float) -> str:
        whole = {"Bucket": self.service.bucket, **params}
        expires = int(min(max(seconds, 300), 7 * 86400))
        url: str = self._client.generate_presigned_url(what, Params=whole, ExpiresIn=expires)
        return url

    def begin(self, key: str) -> str:
        """Begin a multipart upload, and return its id. The object becomes visible only with ``complete``."""
        with self._asking(f"begin {key}"):
            begun = self._client.create_multipart_upload(Bucket=self.service.bucket, Key=key, ChecksumAlgorithm="SHA256")
            return str(begun["UploadId"])

    def unfinished(self, prefix: str) -> list[tuple[str, str]]:
        """Return the key and the id of each unfinished multipart upload below ``prefix``."""
        with self._asking(f"list the uploads below {prefix}"):
            asked = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.service.bucket, Prefix=prefix)
            return [(upload["Key"], upload["UploadId"]) for page in asked for upload in page.get("Uploads", ())]

    def put_part(self, key: str, upload: str, number: int, data: bytes, sha256: str) -> str:
        """Write the part ``number``, whose content has the digest ``sha256``, and return its ETag.

        The first part has the number 1.
        """
        with self._asking(f"write {key}"):
            answer = self._client.upload_part(
                Bucket=self.service.bucket,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                Body=data,
                ChecksumSHA256=base64_of(sha256),
            )
            return str(answer["ETag"])

    def complete(self, key: str, upload: str, parts: Sequence[tuple[str, str]]) -> None:
        """Make the parts of a multipart upload visible as the object.

        ``parts``: ETag and hexadecimal digest of each part, in order.
        """
        listed: Any = [
            {"PartNumber": number, "ETag": etag, "ChecksumSHA256": base64_of(sha256)}
            for number, (etag, sha256) in enumerate(parts, 1)
        ]
        with self._asking(f"complete {key}"):
            self._client.complete_multipart_upload(
                Bucket=self.service.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": listed}
            )

    def abort(self, key: str, upload: str) -> None:
        """Abort a multipart upload. An upload that does not exist counts as aborted."""
        store, whole = self.in_time(), {"Bucket": self.service.bucket, "Key": key, "UploadId": upload}
        with store._asking(f"abort {key}"):
            unless(("NoSuchUpload",), lambda: store._client.abort_multipart_upload(**whole))
