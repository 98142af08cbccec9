"""Plain words for the reason of a run that a person or a signal stopped. A journal records only the name of the signal."""

from __future__ import annotations

import re
from collections.abc import Iterable

from drillbook.findings import Finding
from drillbook.report.consequences import STOP, STOPPED_BY
from drillbook.report.open_findings import GRAVE

SIGNALS = {
    "SIGINT": "a person (Ctrl-C)",
    "SIGTERM": "SIGTERM (a stop request, for example of a pipeline)",
    "SIGHUP": "SIGHUP (its terminal was closed)",
}
"""Words for the sender of each signal that stops a run."""
_SIGNAL = re.compile(rf"(?<={re.escape(STOPPED_BY)})(?:{'|'.join(SIGNALS)})\b(?! \()")
RUN_AGAIN = "Run the drill again."
NOTHING_ELSE = " Nothing has to be corrected first."
"""``RUN_AGAIN``: remedy of the finding about a run that a signal stopped. The stop shows no problem of the service.
``NOTHING_ELSE``: end of this remedy, if the run has no other finding.
"""


def in_words(text: str) -> str:
    """Return ``text``, such as the reason of a verdict, with words for the sender of the signal that stopped the run."""
    return _SIGNAL.sub(lambda match: SIGNALS[match[0]], text)


def is_stop(reason: str) -> bool:
    """Return True if ``reason``, the reason of a verdict, says that a person, a signal or a request stopped the run."""
    return reason.casefold().startswith(STOPPED_BY)


def shown(finding: Finding, others: Iterable[Finding]) -> Finding:
    """Return ``finding``. If it is about the end of a run that a signal stopped, its texts say so. A stop by a request or by a file
    has a reason that a person wrote, so its remedy stays. ``others``: all findings of the run. If any other of them is of medium
    severity or higher, there is something to correct.
    """
    if finding.code != STOP or not _SIGNAL.search(finding.measured):
        return finding
    alone = all(other.code == STOP or other.severity not in GRAVE for other in others)
    remedy = RUN_AGAIN + (NOTHING_ELSE if alone else "")
    return finding.model_copy(update={"measured": in_words(finding.measured), "remedy": remedy})
