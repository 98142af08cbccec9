"""Findings that are shown beside a verdict. A run may pass and still have found a problem that needs attention."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from drillbook.findings import Finding, Severity
from drillbook.installation.program_name import as_called
from drillbook.judge.recovered_later import CONTROLLER_DIED_FIRST, NOT_GOOD_AGAIN, RECOVERED
from drillbook.judge.verdicts import CONTROLLER_DIED, Verdict
from drillbook.language.lists import leading
from drillbook.plan.permitted import FORBIDDEN
from drillbook.report import consequences
from drillbook.report.figures import one_line

if TYPE_CHECKING:
    from drillbook.judge.result import Objective

GRAVE = ("critical", "high", "medium")
"""Severities of findings that need attention even if the run passed, the worst first."""
MEASURED_NOTHING = (*NOT_GOOD_AGAIN, "objective-not-verified")
"""Codes of the findings of a run which say that it did not measure or verify a recovery."""
_TIME = re.compile(r"\b(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)Z")
MOST_NAMES = 4
ALLOWED = "allowed because"
"""Label of the field ``wanted`` in a finding about a failure that the drill allows. In this finding, the field contains no
wanted value, but the drill's reason for allowing the failure.
"""
LOST_WRITES = "acknowledged-writes-lost"
LACKING = "removed-data-missing"
"""Code of the finding about data of the service that did not come back."""
DATA_LOSS = ("hole-in-survivors", LACKING, LOST_WRITES, "references-broken")
"""Codes of findings about lost data. They come first among findings of the same severity. Texts that name only some of the
findings always name these.
"""
WITHIN = "within the objective"
"""Text that is added to the title of a finding about lost writes when the measured RPO meets its objective."""
NOT_COUNTED = "the figure does not count"
"""Text that replaces ``WITHIN`` in the title of such a finding if the run did not pass."""
NOT_VERIFIED = "it is not verified whether the loss is within the objective"
"""Text that is added to the title of a finding about lost writes when the RPO was measured, but could not be verified."""


NOT_MEASURED = "not measured"
"""Beginning of the measured value of a finding, if there is no value. The reason follows."""

NOT_RECOVERED = "not-recovered"
UNVERIFIED_PHASE = ("skipped", "interrupted")
"""States of the phase `verify` in a run whose verification did not end."""
AT_END = {
    "was not good again by the end of the verification": "was not proven good again when the run ended",
    "good without a break before the verification ended": "good without a break before the run ended",
}
"""Words for the finding ``NOT_RECOVERED`` of a run whose verification did not end. The key of each entry is the recorded text."""
RECOVER_FIRST = "Recover the run with `drillbook drill.recover {run}`. Then check if the service is good."
"""Remedy of this finding while ``run`` is not recovered: its restore may not have ended, and no step of it need be at fault."""
MEASURE_AGAIN = "Run the drill again, to measure the time of a recovery."
"""Instruction in the remedy of this finding after `drill.recover`: no change is left, but the run measured no recovery."""


class Grade(Protocol):
    """Anything that has a code and a severity: a finding, or a row about a finding."""

    @property
    def code(self) -> str:
        """Code of the finding."""
        ...

    @property
    def severity(self) -> str:
        """Severity: critical, high, medium, low or information."""
        ...


Found = TypeVar("Found", bound=Grade)


def objectives_of(result: Mapping[str, Any]) -> dict[str, Objective]:
    """Return the objectives of a ``result.json``. Fields that only newer versions of Drillbook know are ignored."""
    from drillbook.judge.result import Objective  # noqa: PLC0415  keeps start-up fast

    return {
        key: Objective.model_validate({name: told[name] for name in Objective.model_fields if name in told})
        for key, told in result.get("objectives", {}).items()
    }


def of_result(result: Mapping[str, Any]) -> list[Finding]:
    """Return the findings of medium severity or higher in a ``result.json``, the worst first, with code, severity,
    title, step and the measured value.

    Lost writes that the RPO allows are left out, and so are findings that only follow from another finding. Objectives that lack the
    same proof share a finding.
    """
    findings = [
        Finding(
            code=str(fields.get("code", "")),
            severity=fields["severity"],
            title=str(fields.get("title", "")),
            measured=str(fields.get("measured", "")),
            step=str(fields.get("step") or "") or None,
        )
        for fields in (*result.get("findings", ()), *result.get("later_findings", ()))
        if fields.get("severity") in GRAVE
    ]
    phases = {str(phase.get("phase")): str(phase.get("status")) for phase in result.get("phases", ())}
    findings = [at_end(finding, phases) for finding in findings]
    objectives = objectives_of(result)
    died = result.get("reason") == CONTROLLER_DIED
    recovered = is_recovered(result.get("reason"), result.get("finished"), result.get("residue"))
    known = grave(consequences.folded(as_shown(findings, objectives, recovered=recovered), objectives))
    return _joined_findings(known) if died else known


def is_recovered(reason: str | None, finished: str | None, residue: Sequence[Any] | None) -> bool:
    """Return True for a run whose controller died, if a recovery then undid all changes. The arguments are fields of its result."""
    return reason == CONTROLLER_DIED and bool(finished) and not residue


def _joined_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings of a run whose controller died, as its report counts them."""
    from drillbook.report import objective_findings  # noqa: PLC0415  keeps start-up fast

    return objective_findings.joined(findings, CONTROLLER_DIED)


def at_end(finding: Finding, phases: Mapping[str, str], *, dead: str = "") -> Finding:
    """Return ``finding``. If it says that the service was not good by the end of the verification, but the verification did not end,
    it names the end of the run instead. ``phases``: state of each phase. ``dead``: name of the run if its controller died,
    and nobody recovered it; the recovery is then the remedy. After a recovery, the remedy is to run the drill again.
    """
    remedy = finding.remedy.replace(CONTROLLER_DIED_FIRST, MEASURE_AGAIN)
    finding = finding.model_copy(update={"title": _with_times(finding.title), "remedy": _with_times(remedy)})
    if finding.code != NOT_RECOVERED or phases.get("verify", UNVERIFIED_PHASE[0]) not in UNVERIFIED_PHASE:
        return finding
    texts = {
        "title": finding.title,
        "wanted": finding.wanted,
        **({"remedy": RECOVER_FIRST.format(run=dead)} if dead else {}),
    }
    for recorded, shown in AT_END.items():
        texts = {key: text.replace(recorded, shown) for key, text in texts.items()}
    return finding.model_copy(update=texts)


def _with_times(text: str) -> str:
    """Return ``text`` with times as reports write them, such as `2026-12-01 19:47:10 UTC`."""
    return _TIME.sub(r"\1 \2 UTC", text)


def wanted_name(code: str) -> str:
    """Return the label under which reports show the field ``wanted`` of a finding with the code ``code``."""
    return ALLOWED if code == "allowed-failure" else "wanted"


def measured(finding: Finding) -> tuple[str, str]:
    """Return the field ``measured`` of a finding with its label. If nothing was measured, the label says so, and the text is the
    reason.
    """
    begins = finding.measured.startswith(f"{NOT_MEASURED}: ")
    return (NOT_MEASURED, finding.measured[len(NOT_MEASURED) + 2 :]) if begins else ("measured", finding.measured)


def told(finding: Finding) -> list[tuple[str, str]]:
    """Return the labelled texts of a finding: what was wanted, what was measured, and the remedy. Each text comes with its
    label, and empty texts are left out.
    """
    lines = [
        (wanted_name(finding.code), finding.wanted),
        measured(finding),
        ("remedy", as_called(finding.remedy)),
    ]
    return [(name, text) for name, text in lines if text]


def recovered_later(titles: Iterable[str]) -> str:
    """Return the part of a title that tells when and by whom the changes were undone after the run. The first title with such
    a part is used. The result is empty if no title has such a part.
    """
    parts = [title.rpartition(f"; {RECOVERED}") for title in titles]
    return next((f"{RECOVERED}{one_line(_with_times(rest))}" for _, mark, rest in parts if mark), "")


def allowed(code: str, objectives: Mapping[str, Objective]) -> bool:
    """Return True for a finding about lost writes when the RPO of the run was measured and met, so nobody has to act on it."""
    rpo = objectives.get("rpo")
    return code == LOST_WRITES and rpo is not None and rpo.met is True and rpo.measured_s is not None


def as_shown(findings: Iterable[Finding], objectives: Mapping[str, Objective], *, recovered: bool = False) -> list[Finding]:
    """Return the findings with the severities that reports show, the worst first; among equals, lost data first. Lost writes that the
    RPO allows get the severity `information`. When the RPO was measured, but could not be verified, this is added to the title. The
    finding that the guard does not permit the environment comes first, because the others do not matter there.

    ``recovered``: True if the controller of the run died, and a recovery then undid all changes. The findings in ``MEASURED_NOTHING``
    get the severity `medium`, as the end of a run that a person stopped: they only say that the drill must run again.
    """
    order = list(Severity)
    shown = [
        _information(finding)
        if allowed(finding.code, objectives)
        else _doubted(finding)
        if _unverified(finding.code, objectives)
        else _measured_nothing(finding)
        if recovered and finding.code in MEASURED_NOTHING
        else finding
        for finding in findings
    ]
    return sorted(
        shown,
        key=lambda finding: (finding.code != FORBIDDEN, order.index(finding.severity), finding.code not in DATA_LOSS),
    )


def _unverified(code: str, objectives: Mapping[str, Objective]) -> bool:
    rpo = objectives.get("rpo")
    return code == LOST_WRITES and rpo is not None and rpo.met is None and rpo.measured_s is not None


def _doubted(finding: Finding) -> Finding:
    return finding.model_copy(update={"title": f"{finding.title}; {NOT_VERIFIED}"})


def _measured_nothing(finding: Finding) -> Finding:
    return finding.model_copy(update={"severity": Severity.MEDIUM}) if finding.severity in consequences.GRAVE else finding


def _information(finding: Finding) -> Finding:
    return finding.model_copy(update={"severity": Severity.INFORMATION, "title": f"{finding.title}, {WITHIN}", "remedy": ""})


def counting(title: str, verdict: str) -> str:
    """Return the title of a finding about lost writes as a report shows it. If the run did not pass, its figures do not
    count. The words `within the objective` are then replaced by a note about this.
    """
    within = f", {WITHIN}"
    return f"{title.removesuffix(within)}; {NOT_COUNTED}" if verdict != Verdict.PASSED and title.endswith(within) else title


def grave(findings: Iterable[Found]) -> list[Found]:
    """Return the findings of medium severity or higher, the worst first; among equals, lost data first."""
    return sorted(
        (finding for finding in findings if finding.severity in GRAVE),
        key=lambda finding: (GRAVE.index(finding.severity), finding.code not in DATA_LOSS),
    )


def never_hidden(findings: Sequence[Found]) -> list[Found]:
    """Return the findings that every list names: those of the worst severity, and those about lost data. A list may only
    count the other findings. ``findings``: the worst first."""
    return [finding for finding in findings if finding.severity == findings[0].severity or finding.code in DATA_LOSS]


def counts(findings: Sequence[Grade]) -> list[str]:
    """Return the number of findings of each severity, such as ``1 high`` and ``2 medium``."""
    severities = [str(finding.severity) for finding in findings]
    return [f"{severities.count(severity)} {severity}" for severity in GRAVE if severity in severities]


def counted(findings: Sequence[Grade]) -> str:
    """Return the number of findings by severity, such as ``1 high and 2 medium findings``. The result is empty when there are none."""
    parts = counts(findings)
    return f"{_joined(parts)} {'finding' if len(findings) == 1 else 'findings'}" if parts else ""


def is_listed(verdict: str) -> bool:
    """Return True if lists of runs show the number of findings beside ``verdict``. A run that never began is no such run: its
    findings are the reasons why it did not begin.
    """
    return verdict not in (Verdict.REFUSED, Verdict.NOT_RUN)


def in_list(verdict: str, findings: Iterable[Grade]) -> str:
    """Return the number of findings of medium severity or higher, as text to be shown beside a verdict in a list of runs. The
    result is empty if the run never began, and when there are no such findings.
    """
    return counted(grave(findings)) if is_listed(verdict) else ""


def first(findings: Sequence[Finding]) -> str:
    """Return text with the titles of the worst finding and of all findings about lost data, and with the number of the
    remaining findings. If only one finding remains, the text has its title instead of the number. ``findings``: the worst
    first."""
    named = [findings[0], *(finding for finding in findings[1:] if finding.code in DATA_LOSS)]
    others = [finding for finding in findings[1:] if finding.code not in DATA_LOSS]
    shown, rest = leading([*named, *others], len(named))
    titles = dict.fromkeys(one_line(finding.title) for finding in shown)
    return "; ".join(titles) + (f", and {rest} more" if rest else "")


def named(drills: Sequence[str]) -> str:
    """Return the names of the first ``drills`` as text, and count the other drills."""
    names, more = leading([one_line(name) for name in dict.fromkeys(drills)], MOST_NAMES)
    return f"{', '.join(names)} and {more} more" if more else _joined(names)


def _joined(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
