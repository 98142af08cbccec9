"""Errors of an S3 store: the codes for missing objects, and the conversion of all other errors to CouldNotVerify."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from drillbook.errors import CouldNotVerify
from drillbook.sdk.host import Deadline
from drillbook.sdk.service import S3

T = TypeVar("T")

MISSING = ("404", "NoSuchKey", "NotFound")
"""Error codes of a missing object."""
CHANGED = ("NoSuchVersion", "PreconditionFailed", "412")
"""Error codes for an object that was replaced, or for a version that no longer exists."""
NO_RANGE = ("InvalidRange", "416")
"""Error codes for a request of a byte range of an empty object."""

_REFUSED = re.compile(r": (AccessDenied|AllAccessDisabled|Forbidden|InvalidAccessKeyId|SignatureDoesNotMatch|403)\b")


def place_of(service: S3) -> str:
    """Return the name and the address of the store as text for messages."""
    return f"the store {service.name} at {service.endpoint}"


@contextmanager
def asking(service: S3, deadline: Deadline, what: str) -> Iterator[None]:
    """Run the ``with`` block. Its requests to the store must end at ``deadline``. ``what``: name of the operation in
    errors.

    Raises CouldNotVerify when the store fails or refuses, and TimeoutError after the deadline.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  slow to load

    where = place_of(service)
    deadline.check(where)
    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        raise CouldNotVerify(
            f"the store {service.name} refused to {what}: {said.get('Code', 'error')}: {said.get('Message', '')}",
            hint=_hint(str(said.get("Code", ""))),
        ) from error
    except (BotoCoreError, OSError, ValueError) as error:
        deadline.check(where)
        if isinstance(error.__context__, CouldNotVerify):  # the library wrapped an error raised by Drillbook
            raise error.__context__ from None
        raise CouldNotVerify(
            f"{where} could not {what}: {type(error).__name__}",
            hint="check that the store is running, and that `endpoint` of the service in the inventory is correct",
        ) from error


def is_refused(error: CouldNotVerify) -> bool:
    """Return True when ``error``, an error of ``asking``, says that a right is missing, or that the access keys are unknown."""
    return bool(_REFUSED.search(error.message))


def unless(codes: Sequence[str], ask: Callable[[], T]) -> T | None:
    """Return the result of ``ask``, or None when the store answers with one of the error ``codes``."""
    from botocore.exceptions import ClientError  # noqa: PLC0415  slow to load

    try:
        return ask()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in codes:
            return None
        raise


def _hint(code: str) -> str:
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "403"):
        return "check `access_key` and `secret_key` of the service in the inventory, and the permissions of that S3 user"
    if code in ("NoSuchBucket", "404"):
        return "check `bucket` of the service in the inventory; a drill does not create buckets"
    return ""
