"""Limits of the record of a period: general sentences about what it can prove, and those about the keys, anchors and timestamps
of this record.
"""

from __future__ import annotations

from collections.abc import Iterator

from drillbook.attestation.timestamps import ROOTS
from drillbook.audit.assurance import Assurance
from drillbook.audit.content import Audit
from drillbook.report.figures import count

CHAIN = (
    "Every journal is a chain of hashes, and its first event names the last hash of the run before it. So if a "
    "line is changed, or a run is removed from the middle, the chain breaks, and the break is listed here. A run "
    "may name an event before the end of the previous journal: the previous run was then still in progress, or was "
    "recovered later. The table of digests shows which of the two happened, and when a run was recovered."
)
WITHOUT_ANCHOR = (
    (
        "Without an anchor, the removal of the newest journal, or of its last lines, can go unnoticed until a later "
        "run names the journal."
    ),
    "So compare the digests below with those of an earlier or a later audit.",
    "A person with access to all journals could rewrite them, but could not sign them with a trusted key.",
    (
        "A person who also has the key could sign them. Digests and anchors that were published before would then no "
        "longer match."
    ),
)
"""Sentences about what a record cannot prove if no anchor was compared with it."""
WITH_ANCHOR = (
    (
        "The journals were compared with an anchor. So if a run that the anchor names is missing, or lacks events that the "
        "anchor counts, the audit lists this."
    ),
    "The removal of a run, or of events, can go unnoticed if neither an anchor nor a later run names them.",
    "A person with access to all journals could rewrite them, but could not sign them with a trusted key.",
    (
        "A person who also has the key could sign them. The anchors would then no longer match, unless that person "
        "could also change the anchors."
    ),
)
"""Sentences about what a record cannot prove although it was compared with an anchor."""
ONE_HAND = (
    "Here, no anchor of another person was compared: all are in one file, in the state folder of the account that made this audit, "
    "on the same machine as the journals"
)
"""Beginning of a sentence about anchors of the user's own account only. ``_one_hand`` returns the whole sentence."""
MORE = (
    "How others come to hold anchors, to sign, and to confirm times: see 'Anchors' and 'Signed by another key' on the page 'The "
    "audit of a period' (audit.md) of the documentation."
)
CLOCK = "Times are those of the controller's own clock."
PERIOD = "A run belongs to the period in which the run began, in UTC."


def limits(audit: Audit) -> Iterator[str]:
    """Yield sentences about what the record cannot prove. They depend on the anchors with which it was compared."""
    known = audit.assurance
    yield from WITH_ANCHOR if known.compared else WITHOUT_ANCHOR
    if known.own_place:
        yield _one_hand(known)
    yield f"{CLOCK} {_timestamps(known)}"
    yield PERIOD
    if known.checked and (known.own_place or known.own_only or not known.timestamped):
        yield MORE


def _one_hand(known: Assurance) -> str:
    key = ", and this account can also use the key of the only trusted signature" if known.own_only else ""
    both = "the journals, the signatures and the anchors" if known.own_only else "the journals and the anchors"
    return f"{ONE_HAND}{key}. So a person with this account could change {both} without a trace."


def _timestamps(known: Assurance) -> str:
    """Return sentences about the timestamps of the anchors, which confirm times by another clock."""
    if not known.compared:
        return "Only the timestamp of an anchor confirms a time by another clock, and no anchor was compared."
    if not known.timestamped:
        return "No anchor of this period has a timestamp of an authority, so no other clock confirms them, nor those of the anchors."
    text = f"{known.timestamped} of {count(known.anchored_runs, 'anchor')} of this period"
    verb = "has" if known.timestamped == 1 else "have"
    end = "" if known.timestamps_checked else f"; this was not checked, because {ROOTS} is not set"
    return f"{text} {verb} a timestamp of an authority, which confirms the time of the anchor by another clock{end}."


def unconfirmed(audit: Audit) -> str:
    """Return the title of the list of journals whose removal can go unnoticed."""
    by = "Neither a later run nor an anchor" if audit.assurance.compared else "No later run"
    return f"{by} confirms the existence of"
