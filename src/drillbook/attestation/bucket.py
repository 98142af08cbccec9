"""Anchors as objects of an S3 bucket with Object Lock.

Nobody, not even the owner, can remove such an object before its lock ends. Each anchor is written once, under a name that
contains its digest. Then its lock (retention) is read from the store. All versions of an object are read, so that neither a
delete marker nor a newer version hides an anchor. Endpoint, region and credentials are those of boto3:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from drillbook.attestation.place_contract import BUCKET, AnchorProblem, Held
from drillbook.errors import UsageError
from drillbook.values import Duration

MODE = "COMPLIANCE"
KEEP_S = 400 * 86400.0
"""Default time, in seconds, for which an anchor is locked. It is longer than one year, so that the anchors still exist
while the year is audited.
"""
LONGEST_LINE = 1 << 16
MOST = 500_000
"""Largest number of object versions that are listed.

A folder with more versions is refused, because so many versions show that it also contains data other than anchors.
"""
WORKERS = 8
CONNECT_S, READ_S = 5, 10
_TEXT = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([^?#]*))?(?:\?([^#]*))?")
_NAME = re.compile(r"(.+)/(\d{9})-([0-9a-f]{64})\.json")


class _Version(NamedTuple):
    """One version of an object that holds an anchor. Versions sort by ``events``, the number of events in the anchor."""

    events: int
    key: str
    id: str
    digest: str


@dataclass(frozen=True, slots=True)
class AnchorBucket:
    """Place for anchors: the folder ``prefix`` of a bucket. Each object in it is locked for ``keep_s`` seconds."""

    bucket: str
    prefix: str
    keep_s: float = KEEP_S

    @classmethod
    def parse(cls, text: str) -> AnchorBucket:
        """Parse a place such as ``s3://bucket/prefix?keep=400d``. Raises UsageError when the text has another form."""
        match = _TEXT.fullmatch(text)
        options = dict(parse_qsl(match[3] or "", keep_blank_values=True)) if match else {}
        if match is None or set(options) - {"keep"}:
            raise UsageError(
                f"the place {text!r} for anchors is no folder of a bucket", hint="write it as s3://bucket/prefix?keep=400d"
            )
        try:
            keep_s = float(Duration.parse(options["keep"])) if "keep" in options else KEEP_S
        except ValueError as error:
            raise UsageError(
                f"the place {text!r} for anchors: keep: {error}", hint="write a duration, as in ?keep=400d"
            ) from None
        return cls(match[1], (match[2] or "").strip("/"), keep_s)

    @property
    def source(self) -> str:
        """URL of the place without its options."""
        return f"{BUCKET}{self.bucket}/{self.prefix}".rstrip("/")

    def add(self, run: str, events: int, line: bytes) -> None:
        """Write one anchor with a lock (retention), and read the lock to verify it.

        Raises AnchorProblem when the anchor cannot be written, or when its lock is shorter than requested.
        """
        key = f"{self._folder}{run}/{events:09d}-{hashlib.sha256(line).hexdigest()}.json"
        until = datetime.now(UTC) + timedelta(seconds=self.keep_s)
        with self._asking("written") as client:
            made = client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=line,
                ContentType="application/json",
                ObjectLockMode=MODE,
                ObjectLockRetainUntilDate=until,
            )
            lock = self._lock(client, key, made.get("VersionId", ""))
        if lock is None or lock < until - timedelta(seconds=1):
            raise AnchorProblem(
                f"the anchor that was written to {self.source} {_until(lock)}, although a lock until "
                f"{until:%Y-%m-%d} was requested"
            )

    def read(self) -> Held:
        """Read the newest anchor of each run. For each anchor without a lock, also return a text about the missing lock.

        Raises AnchorProblem when the bucket cannot be read.
        """
        with self._asking("read") as client, ThreadPoolExecutor(WORKERS) as pool:
            runs = self._versions(client)
            newest = list(pool.map(lambda versions: self._newest(client, versions), runs.values()))
        doubts = {run: why for run, (_, why) in zip(runs, newest, strict=True) if why}
        return Held(tuple(line for line, _ in newest if line), doubts)

    @property
    def _folder(self) -> str:
        return f"{self.prefix}/" if self.prefix else ""

    def _versions(self, client: Any) -> dict[str, list[_Version]]:
        """Return the versions of the objects that hold anchors, as one list for each run. The key of each entry is the run's
        name.

        Each list ends with the anchor that has the highest number of events.
        """
        runs: dict[str, list[_Version]] = {}
        seen = 0
        for page in client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=self._folder):
            for listed in page.get("Versions", ()):
                seen += 1
                if match := _NAME.fullmatch(listed["Key"].removeprefix(self._folder)):
                    version = _Version(int(match[2]), listed["Key"], listed.get("VersionId", ""), match[3])
                    runs.setdefault(match[1], []).append(version)
            if seen > MOST:
                raise AnchorProblem(f"the anchors in {self.source} cannot be read: there are more than {MOST:,} objects")
        return {run: sorted(versions) for run, versions in sorted(runs.items())}

    def _newest(self, client: Any, versions: Sequence[_Version]) -> tuple[bytes, str]:
        """Read the anchors of a run, newest first, until one is still as it was written.

        Return this anchor as a line of JSON, and a reason to doubt the anchor, such as a missing lock. The reason is empty if
        there is no doubt. If every anchor of the run was changed after it was written, the returned line is empty.
        """
        changed = 0
        for version in reversed(versions):
            with closing(client.get_object(Bucket=self.bucket, Key=version.key, **_pinned(version.id))["Body"]) as body:
                line = body.read(LONGEST_LINE)
            if hashlib.sha256(line).hexdigest() == version.digest:
                lock = self._lock(client, version.key, version.id)
                loose = "" if lock and lock > datetime.now(UTC) else f"the anchor of the run in {self.source} {_until(lock)}"
                return line, loose
            changed += 1
        return b"", f"each of the {changed} anchors of the run in {self.source} differs from the anchor that was written"

    def _lock(self, client: Any, key: str, version: str) -> datetime | None:
        """Return the time until which the object version is locked in COMPLIANCE mode. Returns None when the version
        has no such lock.

        Nobody can shorten a lock in this mode.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415  slow to load

        try:
            retention = client.get_object_retention(Bucket=self.bucket, Key=key, **_pinned(version))["Retention"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchObjectLockConfiguration", "InvalidRequest"):
                return None
            raise
        until: datetime = retention["RetainUntilDate"]
        return until if retention.get("Mode") == MODE else None

    @contextmanager
    def _asking(self, what: str) -> Iterator[Any]:
        """Provide an S3 client. Convert errors of the client to AnchorProblem.

        ``what``: ``read`` or ``written``, for the message that the anchors cannot be read or written.
        """
        import boto3  # noqa: PLC0415  slow to load
        from botocore.config import Config  # noqa: PLC0415  slow to load
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  slow to load

        try:
            yield boto3.session.Session().client(
                "s3",
                config=Config(
                    connect_timeout=CONNECT_S,
                    read_timeout=READ_S,
                    retries={"total_max_attempts": 2},
                    max_pool_connections=WORKERS,
                ),
            )
        except ClientError as error:
            said = error.response.get("Error", {})
            raise AnchorProblem(
                f"the anchors in {self.source} cannot be {what}: {said.get('Code', 'error')}: {said.get('Message', '')}"
            ) from None
        except (BotoCoreError, OSError, ValueError, LookupError) as error:
            raise AnchorProblem(f"the anchors in {self.source} cannot be {what}: {type(error).__name__}: {error}") from None


def _pinned(version: str) -> dict[str, str]:
    return {"VersionId": version} if version else {}


def _until(lock: datetime | None) -> str:
    return f"is locked only until {lock:%Y-%m-%d %H:%M} UTC" if lock else f"has no lock in mode {MODE}"
