"""The words of an audit that every format shares."""

from __future__ import annotations

from drillbook.audit.content import Audit
from drillbook.report.figures import count

SECTIONS = (
    ("record", "Is the record whole?"),
    ("coverage", "Coverage"),
    ("proven", "Last proven RTO and RPO"),
    ("trend", "Trend"),
    ("not-passed", "Runs that did not pass"),
    ("findings", "Findings"),
    ("runs", "All runs"),
    ("plans", "Changes of plans"),
    ("operators", "Operators"),
    ("evidence", "Digests of the journals"),
    ("controls", "Controls"),
    ("sign-off", "Sign-off"),
)
TITLES = dict(SECTIONS)
SIGNERS = ("Operator", "Reviewer", "Approver")

LEADS = {
    "coverage": "Every service that was drilled, and every service that the newest plan of its environment names. "
    "Each field says "
    "how the last run of that time ended and how many runs there were. A time without a run is a gap, "
    "unless it has not come yet, or the inventory says why no drill of that service is expected.",
    "proven": "The last run of the period that passed and met the objective. Runs with any other verdict prove "
    "nothing here, "
    "whatever they measured.",
    "trend": "Each mark is a run; the upright line through it is the error of its figure, the dashed line the target. "
    "Filled: met "
    "by a run that passed. Square: missed. Hollow: not verified; on the ground line when there is no figure.",
    "findings": "Open: the newest run of the drill in the period has it. Not seen again: that run passed and does not "
    "have it. "
    "A run that ended in any other way does not show that a finding is gone.",
    "plans": "A plan is the drill and its inventory, resolved. It has a digest, which each journal states in its "
    "first event.",
    "operators": "As the journals name them: the account on the controller, or what a pipeline said. Who was really at the "
    "keyboard is not proven by it.",
    "controls": "Where evidence for a control stands, and what this report does not show of it. It is no statement "
    "that a control "
    "is fulfilled. Only ids and titles are cited.",
    "sign-off": "Signing says that this report was read, with the digest of the evidence that stands here.",
}
CHAIN = (
    "Every journal is a chain of hashes, and its first event names the last hash of the run before it. So no "
    "line can be "
    "changed, and no run taken out of the middle, without a break that is listed here. A run may name an event "
    "before the "
    "end of the journal before it: that run was still going on, or was recovered later; the table of digests "
    "says which."
)
LIMITS = (
    "Without an anchor, the newest journal, or its last lines, can go unnoticed until a later run names it.",
    "So compare the digests below with those of an earlier or a later audit.",
    "Whoever holds all journals could write all of them anew, but not sign them with a key that is vouched for.",
    "Whoever holds the key too could. Digests and anchors that were handed out before then no longer fit.",
    "Times are the controller's own; no other clock vouches for them, but that of a timestamp over an anchor.",
    "A run belongs to the period in which it began, in UTC.",
)


NO_ANCHOR = (
    "There is no anchor to compare with: it is not known that no run was taken away at the end, and that no older "
    "copy was put in place of a newer one."
)


def record_state(audit: Audit) -> str:
    """Say in a few words if the record is whole and vouched for."""
    if not audit.whole:
        return f"The record is not whole: {count(sum(one.breaking for one in audit.problems), 'problem')}"
    if not audit.runs:
        return "No run in this period" + ("" if audit.vouched else ", and no anchor to compare with")
    if audit.assurance.unvouched or not audit.assurance.checked:
        return "The record is whole, not vouched for"
    return "The record is whole and vouched for" + ("" if audit.vouched else ", compared with no anchor")


def assurance(audit: Audit) -> list[str]:
    """What keeps the record from being vouched for."""
    known = audit.assurance
    if not known.checked:
        return ["Signatures and anchors were not looked at."]
    found = [f"Not vouched for: {one}" for one in known.unvouched]
    return found if known.compared else [*found, NO_ANCHOR]


def title(audit: Audit) -> str:
    """The title of every format."""
    return f"Recovery drills from {audit.period.since} to {audit.period.until}"


def facts(audit: Audit) -> list[tuple[str, str]]:
    """What the head of the report states."""
    return [
        ("Period", f"{audit.period.since} to {audit.period.until}, UTC"),
        ("Runs", str(len(audit.runs))),
        ("Record", record_state(audit)),
        ("Newest run in the record", audit.newest[:10] or "none"),
        ("Anchors", "; ".join(audit.assurance.compared) or "none"),
        ("Runs outside the period, read for the chain", str(audit.outside)),
        ("Digest of the evidence", audit.evidence_digest),
    ]
