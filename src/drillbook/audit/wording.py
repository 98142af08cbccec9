"""Texts of an audit that are the same in all its formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence

from drillbook.audit import covered_days, unsigned_runs
from drillbook.audit.absences import MISSING, AbsentRow
from drillbook.audit.content import Audit
from drillbook.audit.missed_drills import NEVER_RAN, OVERDUE, MissedRow
from drillbook.audit.objective_states import NOT_PROVEN, ProvenRow, reserved_counts
from drillbook.installation.program_name import NEUTRAL
from drillbook.judge.objective_proof import RULE
from drillbook.judge.verdicts import Verdict
from drillbook.language.lists import leading, listed
from drillbook.project.schedule_record import NOT_BEGUN
from drillbook.report import open_findings, remarks
from drillbook.report.figures import count, kinds_of, runs_of, utc
from drillbook.report.wording import MET, MISSED, PROBE_DETECTION

SECTIONS = (
    ("record", "Completeness of the record"),
    ("attention", "Needs attention"),
    ("coverage", "Coverage"),
    ("missed", "Missed drills"),
    ("proven", "Last figures of RTO and RPO"),
    ("trend", "Trend"),
    ("not-passed", "Runs that did not pass or have no end"),
    ("findings", "Findings"),
    ("runs", "All runs"),
    ("plans", "Changes of plans"),
    ("operators", "Operators"),
    ("controls", "Controls"),
    ("sign-off", "Sign-off"),
    ("evidence", "Digests of the journals"),
)
TITLES = dict(SECTIONS)
NO_ALERT = (
    "Nothing: no open finding of medium severity or higher, no overdue drill, no change that was not undone, and no time without "
    "a drill of a service."
)
"""Sentence to show when nothing needs attention."""
UNPROVEN_TITLE = "Missed or not proven at the end of the period"
LIMITS_TITLE = "What the record proves, and what it cannot prove"
TERMS_TITLE = "Terms"
CONTENTS = (SECTIONS[0], ("limits", LIMITS_TITLE), *SECTIONS[1:-2], ("terms", TERMS_TITLE), *SECTIONS[-2:])
"""Sections of the HTML page, for its navigation. In Markdown, the sections ``limits`` and ``terms`` are parts of the head."""
EVIDENCE_DIGEST = "Digest of the evidence"
"""Name by which all parts of the audit call one value: the digest of all journals of the period."""
SIGNERS = ("Operator", "Reviewer", "Approver")

PROBE_LEAD = (
    "These drills awaited no alert, so their own probe noticed the fault. The time measures the probe and proves no alerting: these "
    "objectives are not counted among the objectives proven. A drill that awaits an alert in its detect phase measures the alerting."
)
LEADS = {
    "coverage": (
        "The table lists every service that was drilled, and every service that the newest plan of its "
        "environment names. Each field is about the runs of that time. It shows the worst verdict among the "
        "newest run of each drill, and the number of runs; a drill that failed stays failed "
        "in the later fields, too, until a run passes. A field without a run says 'no run', unless its time has not come, "
        "the record began later, or the inventory gives a reason why no drill of the service is expected. The head of a "
        "column names the days if the audit does not cover the whole month, quarter or year."
    ),
    "missed": (
        "Times at which a drill or suite was overdue: no run passed until the grace was over. A service is overdue while its "
        "drills pass and prove no restore, until a run proves one. Each moment is judged by the schedule that held then: each "
        "run records its schedule, and schedule.jsonl notes each change of a schedule. Where the record has no schedule, today's "
        "file counts, and the row says so. This section also lists scheduled runs that could not begin, as recorded in "
        "schedule.jsonl, and drills and suites that never ran, although their present files in drills/ have a schedule."
    ),
    "proven": RULE,
    "trend": (
        "Each mark is a run. The vertical line through a mark is the error of its figure, and the dashed line "
        "is the target. Circle: a run that passed met the objective. Diamond: it met the objective with a reservation. "
        "Square: the objective was missed. "
        "Hollow mark: the figure does not count. Cross on the base line: there is no figure. A line joins the longest "
        "figures of consecutive days on which the objective was met or missed."
    ),
    "not-passed": (
        "Runs that did not pass, were not run here or left changes, suites without a recorded end, and runs that an anchor, a "
        "campaign, a suite or a later run names, but whose folder is missing."
    ),
    "findings": (
        "Open: the newest run of the drill in the period has the finding. Within the objective: the newest run lost "
        "writes, but not more than its RPO allows; this is information. The figure does not count: the same, but this run "
        "did not pass. Not seen again: the newest "
        "run passed without the finding. A run with any other verdict does not prove that a finding is gone."
    ),
    "plans": (
        "A plan is the drill and its inventory, resolved. Each plan has a digest, and each journal states "
        "this digest in its first event."
    ),
    "operators": (
        "Operators as the journals name them: the account on the controller, or the name that a pipeline "
        "set. This does not prove the identity of a person."
    ),
    "controls": (
        "For each control: the number of runs with evidence, the sections that show it, and the parts of the control that "
        "this report does not cover. This table does not state that a control is fulfilled. Only ids and titles are cited."
    ),
    "sign-off": "A signature confirms that the signer has read this report, which has the digest of the evidence below.",
}
MOST_MISSING = 2
"""Largest number of missing runs that a sentence names."""
MORE_RUNS = "There may have been more runs than the record shows."
"""Sentence to add when the record is not complete."""
OWN_ONLY = "The only trusted signature of the record is that of this machine's own key"
NOBODY_ELSE = ", and nobody else vouches for the record"
"""End of the sentence whose beginning is ``OWN_ONLY``. It is added if the record was compared with no anchor."""
SIGN_BY_OTHERS = (
    "Next, to convince outsiders: let another person check this machine's public key and add it to "
    "inventory/allowed_signers, or sign coming runs with a key that is not stored on this machine (DRILLBOOK_SIGNING_KEY); "
    "see 'The audit of a period' in the documentation."
)
"""Advice for the reader if only this machine's own key signed the record. docs/audit.md explains the advice."""
STRONGER = (
    "Next: lock the place of these anchors, or let a time-stamp authority confirm them again; "
    "see 'Anchors' in the documentation."
)
"""Next step if anchors (copies of the hashes outside of ``reports/``) are weak evidence."""
NOT_EXAMINED = "not examined"
NO_ANCHOR = (
    "There is no anchor to compare with. So the newest runs may have been removed, or an older copy may have "
    "replaced a newer one, without a trace."
)


def missing(audit: Audit) -> str:
    """Return a sentence about the runs that are missing from the record. The result is empty for a complete record."""
    if audit.whole:
        return ""
    if known := len({problem.run for problem in audit.problems if problem.lost}):
        verdicts = "its verdict is" if known == 1 else "their verdicts are"
        text = f"At least {count(known, 'run')} {'is' if known == 1 else 'are'} missing from the record, and {verdicts} unknown."
    else:
        text = "Runs may be missing, and their verdicts are unknown."
    return " ".join([text, *_named(audit.absent)])


def _named(rows: Sequence[AbsentRow]) -> Iterator[str]:
    """Yield a sentence that names the missing runs, or nothing when no run is missing. It names at most ``MOST_MISSING`` runs,
    and counts the others. The table in the audit lists all of them.
    """
    gone = [row for row in rows if row.kind == MISSING]
    if gone:
        shown, others = leading(gone, MOST_MISSING)
        texts = [f"{row.run or 'a run without a known name'} ({row.why})" for row in shown]
        more = f"; {others} more under {TITLES['not-passed']!r}" if others else ""
        yield f"Missing: {'; '.join(texts)}{more}."


def proven_counts(goals: Sequence[ProvenRow]) -> str:
    """Return sentences with the number of objectives in each state: proven, met with a reservation, missed, not proven.

    Objectives on detection are counted separately if only the drill's own probe detected the fault.
    """
    counted, probed = ([row for row in goals if row.by_probe is known] for known in (False, True))
    states = Counter(row.state for row in counted)
    parts = [f"{states[MET]} of {count(len(counted), 'objective')} proven"] if counted else []
    parts += [f"{number} more {said}" for said, number in reserved_counts(counted)]
    parts += [f"{states[state]} {state}" for state in (MISSED, NOT_PROVEN) if states[state]]
    text = f"{', '.join(parts)}." if parts else ""
    return f"{text} {_probed(probed)}".strip() if probed else text


def _probed(goals: Sequence[ProvenRow]) -> str:
    """Return sentences about the detections by the drill's own probe. The sentences tell how many of these detections met their
    objective, how many missed it, and how many are not proven.
    """
    states = Counter(row.state for row in goals)
    parts = [f"{states[MET]} of {len(goals)} met"]
    parts += [f"{states[state]} {state}" for state in (MISSED, NOT_PROVEN) if states[state]]
    return f"{PROBE_DETECTION}: {', '.join(parts)}. {remarks.APART}"


def all_passed(audit: Audit) -> str:
    """Return the sentence to show if every run passed. It stands in place of the table of runs that did not pass."""
    lost = any(row.code in open_findings.DATA_LOSS and row.open_now for row in audit.findings)
    less = " Data that did not come back is listed under Findings." if lost else ""
    if audit.whole:
        passed = f"Every run of the period passed and undid all its changes.{less}"
        return passed if audit.runs else "No run began in this period."
    known = (
        f"Every run of the period that is in the record passed and undid all its changes.{less}"
        if audit.runs
        else "No run that is in the record began in this period."
    )
    return f"{known} {missing(audit)}"


def record_state(audit: Audit) -> str:
    """Return a sentence that tells whether the journals are complete, signed by trusted keys, and compared with an anchor."""
    if not audit.whole:
        return f"The record is not complete: {count(sum(problem.breaking for problem in audit.problems), 'problem')}"
    if not audit.runs:
        return "No run in this period" + ("" if audit.vouched else ", and no anchor to compare with")
    if _unsigned(audit):
        none = "has no trusted signature" if not audit.assurance.signers else "not every run has a trusted signature"
        return f"The record is complete, but {none}"
    if audit.assurance.weak or audit.assurance.unread:
        but = "run has an anchor that is strong evidence" if audit.assurance.weak else "anchor could be read"
        return f"The record is complete and has trusted signatures, but not every {but}"
    anchor = "" if audit.vouched else ", compared with no anchor"
    if audit.assurance.own_only:
        return f"The record is complete{anchor}. {OWN_ONLY}{'' if audit.vouched else NOBODY_ELSE}"
    return f"The record is complete and has trusted signatures{anchor}"


def _unsigned(audit: Audit) -> bool:
    """Return True if a run has no trusted signature, or if the signatures were not examined."""
    return bool(audit.assurance.unsigned) or not audit.assurance.checked


def signing_step(audit: Audit) -> str:
    """Return the next step for the signatures and anchors of the runs. There is a next step in three cases: a run has no
    trusted signature, an anchor is weak evidence, or only this machine's own key signed the runs. Otherwise the result is
    empty. The audit and the summary show this next step after the sentence from ``record_state``.
    """
    if not audit.whole or not audit.runs or not audit.assurance.checked:
        return ""
    if _unsigned(audit):
        return unsigned_runs.next_step(audit)
    return STRONGER if audit.assurance.weak else SIGN_BY_OTHERS if audit.assurance.own_only else ""


def record_sentences(audit: Audit) -> str:
    """Return sentences about a complete record for the summary: its state and the next step."""
    return f"{record_state(audit)}. {signing_step(audit)}".rstrip()


def assurance(audit: Audit, most: int | None = None) -> list[str]:
    """Return texts about weak evidence for the journals. The list is empty if no evidence is weak. The texts name the runs
    without a trusted signature, the runs with a weak anchor, and the anchors that could not be read, with the reasons. One
    text says that there are no anchors, if there are none. Runs with the same reason are named in one text. ``most``:
    largest number of runs that a text names; None for all.
    """
    known = audit.assurance
    if not known.checked:
        return ["Signatures and anchors were not examined."]
    runs: dict[tuple[str, str], list[str]] = {}
    for weakness, texts in (("No trusted signature", known.unsigned), ("Weak anchor", known.weak)):
        for run, _, reason in (text.partition(": ") for text in texts):
            runs.setdefault((weakness, reason), []).append(run)
    suites = {folder.rpartition("/")[2] for folder in audit.suites}
    reasons = [f"{weakness}: {_names(names, suites, most)}: {reason}" for (weakness, reason), names in runs.items()]
    reasons += [f"Anchors that could not be read: {text}" for text in known.unread]
    return reasons if known.compared else [*reasons, NO_ANCHOR]


def _names(names: Sequence[str], suites: Container[str], most: int | None) -> str:
    if len(names) == 1:
        return names[0]
    of_suites = sum(name in suites for name in names)
    runs = runs_of(len(names) - of_suites, of_suites) if of_suites else count(len(names), "run")
    return f"{runs} ({listed(names, len(names) if most is None else most)})"


def ended(row: MissedRow) -> str:
    """Return a text that tells when a drill was no longer overdue, or that it still is."""
    if row.kind in (NOT_BEGUN, NEVER_RAN):
        return "does not apply"
    if row.retired:
        return f"retired on {row.until[:10]}"
    return utc(row.until) if row.until else "not passed since" if row.drill else "not proven since"


def since(row: MissedRow) -> str:
    """Return the moment from which a drill was missed. If the drill has never run, return a text that says so."""
    return utc(row.since) if row.since else "no run in the record"


def never_passed(audit: Audit) -> str:
    """Return a sentence that names the drills which have never passed, but have failed runs. The table of missed drills does
    not list them, because the section about runs that did not pass already lists their runs.
    """
    shown = audit.missed_beside_failures
    drills: dict[bool, list[str]] = {}
    for row in (row for row in audit.missed if row not in shown):
        untried = audit.failing[row.environment, row.drill].verdict == Verdict.NOT_RUN
        drills.setdefault(untried, []).append(row.drill)
    heads = {False: "Never passed", True: "Not run here, and never passed"}
    texts = [f"{head}: {open_findings.named(drills[untried])}." for untried, head in heads.items() if untried in drills]
    return " ".join([*texts, f"See {TITLES['not-passed']!r}."]) if texts else ""


def still_overdue(audit: Audit, most: int) -> str:
    """Return a sentence with the drills, suites and services that are overdue at the end of the period, oldest first.
    At most ``most`` are named, and the others are counted. The result is empty if there are none."""
    rows = [row for row in audit.missed if row.kind == OVERDUE and not row.until]
    shown, others = leading(rows, most)
    named = [f"{row.named} in {row.environment} since {row.since[:10]}" for row in shown]
    more = f"; and {others} more in the report" if others else ""
    return f"Overdue: {'; '.join(named)}{more}." if rows else ""


def none_overdue(audit: Audit) -> str:
    """Return the sentence to show in place of the table of missed drills when this table is empty.

    The sentence says `no other drill` if ``never_passed`` names drills. Drills and suites that never ran are not overdue, but
    are due now, so the sentence also tells their number.
    """
    other = "other " if never_passed(audit) else ""
    never = [row for row in audit.missed if row.kind == NEVER_RAN]
    if not never:
        return f"By the recorded schedules, no {other}drill and no proof of a service was overdue in this period."
    suites = len({row.drill for row in never if row.suite})
    drills = len({row.drill for row in never if not row.suite})
    single = drills + suites == 1
    return (
        f"By the recorded schedules, no {other}drill that has run and no proof of a service was overdue in this period; but "
        f"{kinds_of(drills, suites)} with a schedule never ran, so {'it is' if single else 'they are'} due now "
        f"(`{NEUTRAL} drill.due --all` lists {'it' if single else 'them'})."
    )


def _environments(audit: Audit) -> str:
    """Return the names of the environments, each with its explanation if there is one."""
    names = sorted({row.environment for row in audit.coverage} | {row.environment for row in audit.runs})
    notes = audit.environment_notes
    return ", ".join(f"{name} ({notes[name]})" if name in notes else name for name in names) or "none"


def _signed_by(audit: Audit) -> str:
    """Return the keys with the numbers of runs that they signed, and the number of runs without a trusted signature."""
    known = audit.assurance
    if not known.signers:
        return "nobody" if known.checked else NOT_EXAMINED
    lacking = [f"no trusted signature: {known.lacking}"] if known.lacking else []
    return "; ".join([*known.signers, *lacking])


def facts(audit: Audit) -> list[tuple[str, str]]:
    """Return the rows of the table at the head of the audit. Each row has a name and a value."""
    checked = audit.assurance.checked
    return [
        ("Period", f"{audit.period}, UTC{covered_days.as_of(audit)}"),
        ("Runs", runs_of(len(audit.runs), len(audit.suites))),
        ("Environments", _environments(audit)),
        ("Record", record_state(audit)),
        ("Newest run in the record", audit.newest[:10] or "none"),
        ("Signed by", _signed_by(audit)),
        ("Anchors", "; ".join(audit.assurance.compared) or ("none" if checked else NOT_EXAMINED)),
        ("Runs outside of the period, read to check the chain", str(audit.outside)),
        (EVIDENCE_DIGEST, audit.evidence_digest),
    ]
