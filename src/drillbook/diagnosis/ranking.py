"""Ranks causes by the results of the checks. The functions are pure: they read and write no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from drillbook.diagnosis.scope import Case
from drillbook.diagnosis.tree import Cause, Observation
from drillbook.language import template
from drillbook.sdk.host import printable

HEALTHY, UNKNOWN = "healthy", "unknown"
SAID = 400


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Seen(_Value):
    """An observation whose condition is true. ``weight`` is its weight as evidence."""

    says: str
    weight: int


class Suspect(_Value):
    """A possible cause of a fault.

    It has a score, the observations for and against it, the undecided observations, a remedy, and the contacts to call.
    """

    cause: str
    title: str
    impact: str
    subject: str
    service: str
    score: int
    supports: tuple[Seen, ...]
    against: tuple[Seen, ...]
    unseen: tuple[str, ...]
    remedy: str
    contacts: tuple[str, ...]
    step: dict[str, Any] | None


def text(template_text: str, names: Mapping[str, Any]) -> str:
    """Replace the expressions in a text of a tree by their values. If an expression fails, return the text as written."""
    try:
        return printable(str(template.evaluate(template_text, names)).strip(), limit=SAID)
    except ValueError:
        return template_text


def holds(when: str, names: Mapping[str, Any]) -> bool | None:
    """Evaluate a condition.

    A condition names checks and their facts. Return None when one of these checks did not run, or did not return the fact.
    """
    if any(reference[0] not in names for reference in template.references(when, bare=True)):
        return None
    try:
        return bool(template.expression(when, names))
    except ValueError:
        return None


def suspects(case: Case, names: Mapping[str, Any]) -> list[Suspect]:
    """Return the possible causes of ``case``, in the order of the tree. A cause is possible if the evidence for it has
    more weight than the evidence against it.
    """
    scored = [_suspect(case, name, cause, names) for name, cause in case.tree.causes.items()]
    return [suspect for suspect in scored if suspect.supports and suspect.score > 0]


def _suspect(case: Case, name: str, cause: Cause, names: Mapping[str, Any]) -> Suspect:
    supports, unseen = _seen(cause.supports, names)
    against, unseen_against = _seen(cause.against, names)
    return Suspect(
        cause=name,
        title=text(cause.title, names),
        impact=cause.impact,
        subject=case.subject,
        service=case.peer or case.service,
        score=sum(seen.weight for seen in supports) - sum(seen.weight for seen in against),
        supports=supports,
        against=against,
        unseen=(*unseen, *unseen_against),
        remedy=text(cause.remedy.text, names),
        contacts=cause.remedy.contacts,
        step=_step(cause, names) if supports else None,
    )


def _seen(observations: Sequence[Observation], names: Mapping[str, Any]) -> tuple[tuple[Seen, ...], tuple[str, ...]]:
    seen, unseen = [], []
    for observation in observations:
        true = holds(observation.when, names)
        if true:
            seen.append(Seen(says=text(observation.says or observation.when, names), weight=observation.weight))
        elif true is None:
            unseen.append(observation.when)
    return tuple(seen), tuple(unseen)


def _step(cause: Cause, names: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the remedy of a cause as a step of a drill.

    Return None if the remedy has no step, or if a value of the step is not known.
    """
    if cause.remedy.step is None:
        return None
    try:
        step: dict[str, Any] = template.evaluate(cause.remedy.step, names)
    except ValueError:
        return None
    return None if template.has_template(step) else step


def order(scored: Sequence[Suspect]) -> tuple[Suspect, ...]:
    """Sort causes by score, highest first. Each cause of a service appears once.

    Causes with equal scores keep their order.
    """
    best: dict[tuple[str, str], Suspect] = {}
    for suspect in sorted(scored, key=lambda suspect: -suspect.score):
        best.setdefault((suspect.cause, suspect.service), suspect)
    return tuple(best.values())


Found = Literal["found", "healthy", "unknown"]
