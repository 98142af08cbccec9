"""One bucket of an S3 store: references, objects, and addresses that are signed in advance.

boto3 is imported when a store is first used, because listing drills must not wait for it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk import s3client
from drillbook.sdk.answers import Budget
from drillbook.sdk.deadline import current, under
from drillbook.sdk.host import Deadline
from drillbook.sdk.service import S3

T = TypeVar("T")

MANIFEST_LIMIT = 256 << 20
"""The most bytes of one object that are read here."""

MOST_LISTED = 2_000_000
"""Objects and versions of one list."""
MOST_KEYS = 512 << 20
"""Bytes of the names in one list."""

CHUNK = 1 << 20

TIDY_S = 10.0
"""Seconds for removing what was half made, once the time of the step is over."""

_LISTED = ("Contents", "Versions", "DeleteMarkers")
_MISSING = ("404", "NoSuchKey", "NotFound")


@dataclass(frozen=True, slots=True)
class Reference:
    """An object or a folder of objects in a bucket, as facts and drills write it: ``s3://bucket/key#sha256=HEX``."""

    bucket: str
    key: str
    sha256: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reference that ``text`` writes. Raises ValueError."""
        match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([^#]*?)/?(?:#sha256=([0-9a-f]{64}))?", text)
        if match is None or not match[2]:
            raise ValueError(f"{text!r} is not a reference; write it as s3://bucket/key or s3://bucket/key#sha256=HEX")
        return cls(match[1], match[2], match[3])

    def below(self, name: str, sha256: str | None = None) -> Reference:
        """The object ``name`` in this folder."""
        return replace(self, key=f"{self.key}/{name}", sha256=sha256)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" + (f"#sha256={self.sha256}" if self.sha256 else "")


def _checked(text: str) -> str:
    Reference.parse(text)
    return text


Uri = Annotated[str, AfterValidator(_checked)]
"""A field that holds a reference as it is written."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object; ``marker`` when it is a delete marker, ``id`` empty where a bucket keeps no versions."""

    key: str
    id: str
    etag: str
    size: int
    latest: bool
    marker: bool
    at: datetime


def _version(one: dict[str, Any]) -> Version:
    return Version(
        one["Key"],
        str(one["VersionId"]),
        str(one.get("ETag", "")).strip('"'),
        int(one.get("Size", 0)),
        bool(one["IsLatest"]),
        False,
        one["LastModified"],
    )


def base64_of(sha256: str) -> str:
    """A hex digest in the form that S3's checksum headers want."""
    return base64.b64encode(bytes.fromhex(sha256)).decode("ascii")


class Store:
    """The bucket of one S3 service, as the controller reaches it.

    What goes wrong on the way raises CouldNotVerify with the store's own words; a missing object does not.
    """

    def __init__(self, service: S3) -> None:
        """``service`` is the store in the inventory; nothing connects yet. All of it ends with the step that makes it."""
        self.service = service
        self._deadline = current()

    @cached_property
    def _client(self) -> Any:
        client, lines = s3client.made(self.service, self._deadline, self._where)
        weakref.finalize(self, lines.close)
        return client

    @property
    def _where(self) -> str:
        return f"the store {self.service.name} at {self.service.endpoint}"

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  slow to load

        self._deadline.check(self._where)
        try:
            yield
        except ClientError as error:
            said = error.response.get("Error", {})
            raise CouldNotVerify(
                f"the store {self.service.name} refused to {what}: {said.get('Code', 'error')}: {said.get('Message', '')}",
                hint=_hint(str(said.get("Code", ""))),
            ) from error
        except (BotoCoreError, OSError, ValueError) as error:
            self._deadline.check(self._where)
            if isinstance(error.__context__, CouldNotVerify):  # the library's own error is about ours
                raise error.__context__ from None
            raise CouldNotVerify(
                f"{self._where} could not {what}: {type(error).__name__}", hint="is it up, and is `endpoint` right?"
            ) from error

    def in_time(self) -> Store:
        """This store; once its step's time is over, one with a little time of its own: to remove what was half made."""
        if self._deadline.remaining() and not self._deadline.cancel.is_set():
            return self
        with under(Deadline.after(TIDY_S)):
            return Store(self.service)

    def check(self) -> None:
        """Look whether bucket and credentials are good for reading. Raises NotReady."""
        try:
            with self._asking(f"show the bucket {self.service.bucket}"):
                self._client.list_objects_v2(Bucket=self.service.bucket, MaxKeys=1)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from error

    def size(self, key: str) -> int | None:
        """Size of an object, or None when there is none."""
        with self._asking(f"look at {key}"):
            answer = _unless(_MISSING, lambda: self._client.head_object(Bucket=self.service.bucket, Key=key))
            return None if answer is None else int(answer["ContentLength"])

    def sizes(self, prefix: str) -> dict[str, int]:
        """Size of every object below ``prefix``, by the rest of its key."""
        return {
            one["Key"][len(prefix) :]: int(one["Size"])
            for page in self._pages("list_objects_v2", prefix)
            for one in page.get("Contents", [])
        }

    def _pages(self, operation: str, prefix: str) -> Iterator[dict[str, Any]]:
        """Pages of a list of what is below ``prefix``, which all together have a budget. Raises CouldNotVerify."""
        budget = Budget(f"the list of {prefix} in {self._where}", MOST_KEYS, MOST_LISTED)
        with self._asking(f"list {prefix}"):
            for page in self._client.get_paginator(operation).paginate(Bucket=self.service.bucket, Prefix=prefix):
                keys = [one["Key"] for kind in _LISTED for one in page.get(kind, [])]
                budget.take(sum(map(len, keys)), len(keys))
                yield page

    def get(self, key: str, *, limit: int = MANIFEST_LIMIT) -> bytes | None:
        """Content of an object, or None when there is none; more than ``limit`` bytes raise CouldNotVerify."""
        with self._asking(f"read {key}"):
            answer = _unless(_MISSING, lambda: self._client.get_object(Bucket=self.service.bucket, Key=key))
            if answer is None:
                return None
            with closing(answer["Body"]) as body:
                if answer["ContentLength"] > limit:
                    raise CouldNotVerify(f"{key} has {answer['ContentLength']} bytes, more than the {limit} read here")
                data = bytearray()
                while piece := body.read(CHUNK):  # the last one, which is empty, raises when the answer was cut off
                    data += piece
                    if len(data) > limit:
                        raise CouldNotVerify(f"{key} has more than the {limit} bytes that are read here")
                return bytes(data)

    def digest(self, key: str, deadline: Deadline, *, version: str = "", etag: str = "") -> tuple[int, str] | None:
        """Size and SHA-256 of an object as it reads now, or None when there is none.

        With ``version`` or ``etag`` it must be that one, and None means that it is not there any more.
        """
        pinned = {**({"VersionId": version} if version else {}), **({"IfMatch": f'"{etag}"'} if etag else {})}
        gone = (*_MISSING, *(("NoSuchVersion", "PreconditionFailed", "412") if pinned else ()))
        with self._asking(f"read {key}"):
            answer = _unless(gone, lambda: self._client.get_object(Bucket=self.service.bucket, Key=key, **pinned))
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
        """Write an object whose content has the digest ``sha256``; the store refuses other bytes.

        Raises StepFailed when there is one already and ``overwrite`` is not set.
        """
        only_new: dict[str, Any] = {} if overwrite else {"IfNoneMatch": "*"}
        try:
            with self._asking(f"write {key}"):
                self._client.put_object(
                    Bucket=self.service.bucket, Key=key, Body=data, ChecksumSHA256=base64_of(sha256), **only_new
                )
        except CouldNotVerify as error:
            if "PreconditionFailed" in error.message:
                raise StepFailed(f"s3://{self.service.bucket}/{key} exists already") from error
            raise

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that do not exist count as deleted."""
        for first in range(0, len(keys), 1000):
            batch: Any = {"Objects": [{"Key": key} for key in keys[first : first + 1000]], "Quiet": True}
            store = self.in_time()
            with store._asking("delete what was uploaded"):
                answer = store._client.delete_objects(Bucket=self.service.bucket, Delete=batch)
            if answer.get("Errors"):
                raise CouldNotVerify(f"the store {self.service.name} did not delete {len(answer['Errors'])} objects")

    def versioned(self) -> bool:
        """Does the bucket keep versions now?"""
        with self._asking(f"show the versioning of {self.service.bucket}"):
            answer = self._client.get_bucket_versioning(Bucket=self.service.bucket)
            return bool(answer.get("Status") == "Enabled")

    def history(self, prefix: str) -> dict[str, list[Version]]:
        """Every version and delete marker below ``prefix``, by key: versions newest first, then markers newest first."""
        found: dict[str, list[Version]] = {}
        markers: list[Version] = []
        for page in self._pages("list_object_versions", prefix):
            for one in map(_version, page.get("Versions", [])):
                found.setdefault(one.key, []).append(one)
            markers += (replace(_version(one), marker=True) for one in page.get("DeleteMarkers", []))
        for one in markers:
            found.setdefault(one.key, []).append(one)
        return found

    def live(self, prefix: str) -> dict[str, Version]:
        """The objects below ``prefix`` as a reader finds them now, by key; with version ids where the bucket keeps any."""
        if self.versioned():
            return {
                key: one
                for key, versions in self.history(prefix).items()
                for one in versions
                if one.latest and not one.marker
            }
        return {
            one["Key"]: Version(one["Key"], "", one["ETag"].strip('"'), int(one["Size"]), True, False, one["LastModified"])
            for page in self._pages("list_objects_v2", prefix)
            for one in page.get("Contents", [])
        }

    def mark(self, key: str, name: str, version: str = "") -> str | None:
        """The value of the object's own metadata ``name``, or None when there is no object or no such value."""
        pinned = {"VersionId": version} if version else {}
        with self._asking(f"look at {key}"):
            answer = _unless(_MISSING, lambda: self._client.head_object(Bucket=self.service.bucket, Key=key, **pinned))
            return None if answer is None else answer.get("Metadata", {}).get(name)

    def copy(self, source: Version, bucket: str, key: str) -> bool:
        """Copy a version of an object of ``bucket`` to ``key`` here, inside the store.

        False when the source is not there any more, or is another one now. Raises CouldNotVerify.
        """
        origin = {"Bucket": bucket, "Key": source.key, **({"VersionId": source.id} if source.id else {})}
        gone = (*_MISSING, "NoSuchVersion", "PreconditionFailed", "412")
        with self._asking(f"copy {source.key} to {key}"):
            return (
                _unless(
                    gone,
                    lambda: self._client.copy_object(
                        Bucket=self.service.bucket, Key=key, CopySource=origin, CopySourceIfMatch=f'"{source.etag}"'
                    ),
                )
                is not None
            )

    def overwrite(self, over: Version, data: bytes, marks: dict[str, str]) -> bool:
        """Write ``data`` over the object ``over``, marked with metadata; False when it is another object by now."""
        with self._asking(f"write {over.key}"):
            return (
                _unless(
                    ("PreconditionFailed", "412", *_MISSING),
                    lambda: self._client.put_object(
                        Bucket=self.service.bucket, Key=over.key, Body=data, IfMatch=f'"{over.etag}"', Metadata=marks
                    ),
                )
                is not None
            )

    def delete_versions(self, versions: Sequence[tuple[str, str]]) -> None:
        """Delete pairs of key and version id for good; an empty id deletes as a client does. Raises CouldNotVerify."""
        for first in range(0, len(versions), 1000):
            batch: Any = {
                "Quiet": True,
                "Objects": [
                    {"Key": key, **({"VersionId": one} if one else {})} for key, one in versions[first : first + 1000]
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
        """An address at which anyone can read the object, or one version of it, for ``seconds``."""
        return self._sign("get_object", {"Key": key, **({"VersionId": version} if version else {})}, seconds)

    def sign_put(self, key: str, sha256: str, seconds: float) -> str:
        """An address that takes the object, only with its digest in the header ``x-amz-checksum-sha256``."""
        return self._sign("put_object", {"Key": key, "ChecksumSHA256": base64_of(sha256)}, seconds)

    def sign_part(self, key: str, upload: str, number: int, sha256: str, seconds: float) -> str:
        """As ``sign_put``, for part ``number`` (from 1) of a multipart upload."""
        part = {"Key": key, "UploadId": upload, "PartNumber": number, "ChecksumSHA256": base64_of(sha256)}
        return self._sign("upload_part", part, seconds)

    def _sign(self, what: str, params: dict[str, Any], seconds: float) -> str:
        whole = {"Bucket": self.service.bucket, **params}
        expires = int(min(max(seconds, 300), 7 * 86400))
        url: str = self._client.generate_presigned_url(what, Params=whole, ExpiresIn=expires)
        return url

    def begin(self, key: str) -> str:
        """Begin a multipart upload; returns its identifier. Nothing shows under ``key`` until ``complete``."""
        with self._asking(f"begin {key}"):
            begun = self._client.create_multipart_upload(Bucket=self.service.bucket, Key=key, ChecksumAlgorithm="SHA256")
            return str(begun["UploadId"])

    def unfinished(self, prefix: str) -> list[tuple[str, str]]:
        """Key and identifier of each multipart upload below ``prefix`` that was begun and not completed."""
        with self._asking(f"list the uploads below {prefix}"):
            asked = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.service.bucket, Prefix=prefix)
            return [(one["Key"], one["UploadId"]) for page in asked for one in page.get("Uploads", ())]

    def put_part(self, key: str, upload: str, number: int, data: bytes, sha256: str) -> str:
        """Write part ``number`` (from 1), whose content has the digest ``sha256``; returns its ETag."""
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
        """Publish a multipart upload; ``parts`` are ETag and hex digest of each, in order."""
        listed: Any = [
            {"PartNumber": number, "ETag": etag, "ChecksumSHA256": base64_of(sha256)}
            for number, (etag, sha256) in enumerate(parts, 1)
        ]
        with self._asking(f"complete {key}"):
            self._client.complete_multipart_upload(
                Bucket=self.service.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": listed}
            )

    def abort(self, key: str, upload: str) -> None:
        """Drop a multipart upload and its parts; one that is gone already counts as dropped."""
        store, whole = self.in_time(), {"Bucket": self.service.bucket, "Key": key, "UploadId": upload}
        with store._asking(f"abort {key}"):
            _unless(("NoSuchUpload",), lambda: store._client.abort_multipart_upload(**whole))


def _unless(codes: Sequence[str], ask: Callable[[], T]) -> T | None:
    """What ``ask`` gives, or None when the store's answer is an error of one of ``codes``."""
    from botocore.exceptions import ClientError  # noqa: PLC0415  slow to load

    try:
        return ask()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in codes:
            return None
        raise


def _hint(code: str) -> str:
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "403"):
        return "check `access_key` and `secret_key` of the service in the inventory, and what they may do"
    if code in ("NoSuchBucket", "404"):
        return "check `bucket` of the service in the inventory; a drill makes no bucket"
    return ""
