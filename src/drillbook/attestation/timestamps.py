"""Timestamps of anchors by a time-stamp authority: RFC 3161, https://www.rfc-editor.org/rfc/rfc3161.

The authority returns a timestamp token for the line of an anchor, as canonical JSON (RFC 8785). The token is then added to
this line, as base64. This module needs the extra ``timestamp``.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillbook.errors import UsageError
from drillbook.installation import extras
from drillbook.sdk import web
from drillbook.values import canonical

CHOICE = "DRILLBOOK_TIMESTAMP"
"""Environment variable that contains the URL of a time-stamp authority."""
ROOTS = "DRILLBOOK_TIMESTAMP_CA"
"""Environment variable that contains the path of a PEM file with the root certificates for timestamps."""
FIELD = "timestamp"
TIMEOUT_S = 10.0
APART_S = 600.0
"""Largest allowed difference, in seconds, between the times of an anchor and its timestamp.

It allows for an error of the clocks and for a slow request.
"""


class NoTimestamp(Exception):
    """Raised when a timestamp cannot be obtained. The message is the reason."""


def authority() -> str:
    """Return the URL of the time-stamp authority. The result is empty when no authority is configured."""
    return os.environ.get(CHOICE, "").strip()


def ask(url: str, data: bytes) -> str:
    """Obtain a token for ``data`` from the authority at ``url``, as base64.

    Raises NoTimestamp when the authority gives no token.
    """
    try:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response  # noqa: PLC0415  an extra, and slow to load
    except ImportError:
        raise NoTimestamp(
            f"no timestamp from {url}: rfc3161-client is not installed. {extras.adding('timestamp')}"
        ) from None
    wanted = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    try:
        answer = web.ask(
            url,
            timeout=TIMEOUT_S,
            method="POST",
            body=wanted.as_bytes(),
            headers={"Content-Type": "application/timestamp-query"},
        )
    except OSError as error:
        raise NoTimestamp(f"no timestamp from {url}: {error}") from None
    if answer.status != 200 or not answer.complete:
        raise NoTimestamp(f"no timestamp from {url}: the authority answered with status {answer.status}")
    try:
        response = decode_timestamp_response(answer.body)
        if response.status != 0 or response.tst_info.nonce != wanted.nonce:
            raise NoTimestamp(f"no timestamp from {url}: the authority refused the request, or answered another request")
    except ValueError as error:
        raise NoTimestamp(f"no timestamp from {url}: the answer cannot be parsed: {error}") from None
    return base64.b64encode(answer.body).decode()


class Checker:
    """Verifies timestamps against the root certificates in a PEM file."""

    def __init__(self, roots: Path) -> None:
        """Read the certificates in the file ``roots``.

        Raises UsageError when the file cannot be read, or contains no certificates.
        """
        try:
            from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415  slow to load
            from rfc3161_client import VerifierBuilder  # noqa: PLC0415  an extra, and slow to load
        except ImportError:
            raise extras.missing("timestamp", "rfc3161-client", "checking timestamps") from None
        try:
            certificates = load_pem_x509_certificates(roots.read_bytes())
        except OSError as error:
            raise UsageError(f"{ROOTS}: {roots} cannot be read: {error.strerror}") from None
        except ValueError:
            raise UsageError(f"{ROOTS}: {roots} contains no certificates", hint="name a file in PEM format") from None
        self._verifier = VerifierBuilder(roots=certificates).build()

    def doubt(self, content: Mapping[str, Any]) -> str:
        """Return the reason why the timestamp of an anchor is missing or invalid.

        The reason is empty if the timestamp is valid. ``content``: parsed line of the anchor.
        """
        from rfc3161_client import VerificationError, decode_timestamp_response  # noqa: PLC0415  an extra, and slow to load

        if FIELD not in content:
            return "the anchor of the run has no timestamp"
        line = canonical({key: value for key, value in content.items() if key != FIELD})
        try:
            token = decode_timestamp_response(base64.b64decode(str(content[FIELD]), validate=True))
            self._verifier.verify_message(token, line)
            stamped = token.tst_info.gen_time
            said = datetime.fromisoformat(str(content["at"]))
        except (VerificationError, ValueError, LookupError) as error:
            return f"the timestamp of the run's anchor is not valid: {error}"
        if abs((stamped - said.astimezone(UTC)).total_seconds()) > APART_S:
            return (
                f"the anchor of the run is dated {said:%Y-%m-%d %H:%M} UTC, but its timestamp is dated "
                f"{stamped:%Y-%m-%d %H:%M}"
            )
        return ""


def checker() -> Checker | None:
    """Make a checker from the file of certificates in DRILLBOOK_TIMESTAMP_CA. Returns None if this variable is not set.

    Raises UsageError when the certificates cannot be read.
    """
    named = os.environ.get(ROOTS, "").strip()
    return Checker(Path(named).expanduser()) if named else None
