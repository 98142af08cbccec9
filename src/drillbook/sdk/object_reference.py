"""References to objects, or to folders of objects, in a bucket of an S3 store."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Self

from pydantic import AfterValidator


@dataclass(frozen=True, slots=True)
class Reference:
    """Reference to an object, or to a folder of objects, in a bucket. Its text form is ``s3://bucket/key#sha256=HEX``."""

    bucket: str
    key: str
    sha256: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a reference. Raises ValueError when the text has another form."""
        match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([^#]*?)/?(?:#sha256=([0-9a-f]{64}))?", text)
        bucket = re.match(r"s3://([^/#]+)/[^#]", text)
        if match is None and bucket and (why := _wrong_name(bucket[1])):
            raise ValueError(f"{text!r} is not a reference: {why}")
        if match is None or not match[2]:
            raise ValueError(
                f"{text!r} is not a reference; write it as s3://bucket/key or s3://bucket/key#sha256=HEX, "
                "such as the fact `location` of the step that stored the backup in a bucket. A backup of a source in `backups` is "
                "restored by `backup.restore`"
            )
        return cls(match[1], match[2], match[3])

    def below(self, name: str, sha256: str | None = None) -> Reference:
        """Return a reference to the object ``name`` in this folder."""
        return replace(self, key=f"{self.key}/{name}", sha256=sha256)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" + (f"#sha256={self.sha256}" if self.sha256 else "")


def _wrong_name(bucket: str) -> str:
    """Return the reason why ``bucket`` is not a valid name of a bucket. The result is empty if it is valid."""
    if not 3 <= len(bucket) <= 63:
        size = "short" if len(bucket) < 3 else "long"
        return f"the name of the bucket, {bucket!r}, is too {size}; it must have 3 to 63 characters"
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*[a-z0-9]", bucket):
        return (
            f"the name of the bucket, {bucket!r}, may have only lower-case letters, digits, dots and hyphens, and must begin and "
            "end with a letter or digit"
        )
    return ""


def _checked(text: str) -> str:
    Reference.parse(text)
    return text


Uri = Annotated[str, AfterValidator(_checked)]
"""Type of a field whose value is a reference in its text form."""
