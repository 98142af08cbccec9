"""Plain words for the reason of a run that a person or a signal stopped. A journal records only the name of the signal."""

from __future__ import annotations

import re

from drillbook.findings import Finding
from drillbook.report.consequences import STOPPED_BY

SIGNALS = {
    "SIGINT": "a person (Ctrl-C)",
    "SIGTERM": "SIGTERM (a stop request, for example of a pipeline)",
    "SIGHUP": "SIGHUP (its terminal was closed)",
}
"""Words for the sender of each signal that stops a run."""
_SIGNAL = re.compile(rf"(?<={re.escape(STOPPED_BY)})(?:{'|'.join(SIGNALS)})\b(?! \()")
RUN_AGAIN = "Run the drill again. Nothing has to be corrected first."
"""Remedy of the finding about a run that a signal stopped. The stop shows no problem of the service."""


def in_words(text: str) -> str:
    """Return ``text``, such as the reason of a verdict, with words for the sender of the signal that stopped the run."""
    return _SIGNAL.sub(lambda match: SIGNALS[match[0]], text)


def is_stop(reason: str) -> bool:
    """Return True if ``reason``, the reason of a verdict, says that a person, a signal or a request stopped the run."""
    return reason.casefold().startswith(STOPPED_BY)


def shown(finding: Finding) -> Finding:
    """Return ``finding``, which is about the end of a run before its last step. If a signal stopped the run, its texts say so. A
    stop by a request or by a file has a reason that a person wrote, so its remedy stays."""
    if not _SIGNAL.search(finding.measured):
        return finding
    return finding.model_copy(update={"measured": in_words(finding.measured), "remedy": RUN_AGAIN})
