"""Report rows about the record of a run: its plan, its owner, its evidence files, and its journal."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from drillbook.judge.result import CommandView, RunView, StepView
from drillbook.language.template import texts as texts_in
from drillbook.plan import permitted
from drillbook.report.figures import count, one_line, shown, size

PLAIN = (str, int, float, type(None))
"""Types of facts that cannot contain the name of a file."""
STOPPED = re.compile(r"` was stopped; it was killed$|: the run was stopped during `.*`; it was killed$", re.DOTALL)
"""Regular expression for the error of a command that was killed by Drillbook, such as a helper that was no longer needed."""
OLD_END = re.compile(r"\.\.\..{2000}", re.DOTALL)
"""Regular expression for a word of a command of which an older version recorded only the end."""
NO_BEGINNING = "\N{HORIZONTAL ELLIPSIS} (the beginning is not recorded) \N{HORIZONTAL ELLIPSIS}\n"
"""Text before such an end."""
EXPRESSION = re.compile(r"""\bservices(?:\.|\[['"])([\w-]+)""")
"""Regular expression for the names of services in the expressions of a plan."""


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """An evidence file, and its origin. The origin is the step or the finding to which the file belongs. The origin of a
    log that a target wrote about a lease is this lease.
    """

    file: str
    sha256: str
    size: str
    origin: str


def evidence_rows(view: RunView) -> list[EvidenceRow]:
    """Return rows of all evidence files, sorted by name. These are the files that are named in facts of steps or in findings,
    and the logs that targets wrote about their leases.
    """
    row_by_file: dict[str, EvidenceRow] = {}
    for step in view.steps:
        for row in evidence_of(step):
            row_by_file.setdefault(row.file, row)
    for log in view.lease_logs:
        took, digest = "not recorded" if log.bytes is None else size(log.bytes), log.sha256 or "not recorded"
        row_by_file.setdefault(
            shown(log.file), EvidenceRow(shown(log.file), shown(digest), took, f"lease on {shown(log.host)}")
        )
    for finding in view.result.findings:
        for file in finding.evidence:
            row_by_file.setdefault(
                shown(file), EvidenceRow(shown(file), "not recorded", "not recorded", shown(finding.step or finding.code))
            )
    return [row_by_file[name] for name in sorted(row_by_file)]


def evidence_of(step: StepView) -> list[EvidenceRow]:
    """Return rows of the files in the facts of one step, sorted by file name. Each file is listed once."""
    row_by_file: dict[str, EvidenceRow] = {}
    if _is_plain(step.result.facts):
        return []
    for fact in _files(step.result.facts):
        name, count = shown(fact["file"]), fact.get("bytes")
        took = size(count) if isinstance(count, int) else "not recorded"
        took += f", cut {shown(fact['cut'])}" if fact.get("cut") else ""
        row_by_file.setdefault(name, EvidenceRow(name, shown(fact.get("sha256") or "not recorded"), took, step.result.id))
    return [row_by_file[name] for name in sorted(row_by_file)]


def _is_plain(facts: Mapping[str, Any]) -> bool:
    """Return True when ``facts`` cannot contain the name of a file, so that no search is needed. Most steps have such facts."""
    return "file" not in facts and all(isinstance(value, PLAIN) for value in facts.values())


def _files(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if isinstance(value.get("file"), str):
            yield value
        inner = [key for key, item in value.items() if not isinstance(item, PLAIN)]
        for key in sorted(inner, key=str):
            yield from _files(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _files(item)


def _reached(name: str, host: Mapping[str, Any]) -> str:
    """Return the name of a host with its address in parentheses. The address includes the user and the port, if the inventory
    contains them.
    """
    place = str(host.get("address") or "")
    if place and host.get("port"):
        place += f":{host['port']}"
    if place and host.get("user"):
        place = f"{host['user']}@{place}"
    return f"{name} ({place})" if place else name


def plan_rows(view: RunView) -> list[tuple[str, str]]:
    """Return rows that summarize the plan: digest, environments, hosts, services, probes and steps."""
    plan = view.plan
    inventory = _mapping(plan.get("inventory"))
    known, used = _mapping(inventory.get("services")), used_services(plan)
    services = [
        f"{name} ({_mapping(known[name]).get('kind', 'unknown kind')} on {_mapping(known[name]).get('host', 'no host')})"
        for name in used
    ]
    if len(known) > len(used):
        left = count(len(known) - len(used), "other service" if used else "service")
        services.append(f"{left} in the inventory, not used by the drill")
    hosts = [_reached(name, _mapping(entry)) for name, entry in sorted(_mapping(inventory.get("hosts")).items())]
    effects = [str(_mapping(step).get("effect")) for step in _list(plan.get("steps"))]
    counts = [f"{effects.count(effect)} {effect}" for effect in ("read", "write", "fault") if effect in effects]
    probes = [str(_mapping(probe).get("name")) for probe in _list(plan.get("probes"))]
    place = str(inventory.get("environment")), str(inventory.get("lab"))
    environments = permitted.named([str(name) for name in _list(plan.get("environments"))], *place)
    rows = [
        ("Digest", view.result.plan_digest),
        ("May run in", ", ".join(environments)),
        ("Hosts", ", ".join(hosts)),
        ("Services", ", ".join(services)),
        ("Probes", ", ".join(probes)),
        ("Steps", f"{len(effects)}: {', '.join(counts)}" if effects else ""),
    ]
    return [(name, one_line(value) if value else "none") for name, value in rows]


def used_services(plan: Mapping[str, Any]) -> list[str]:
    """Return the services of the inventory that the drill breaks, or that a step, a probe or a guard names.

    A step, a probe or a guard may contain the name of a service, or an expression such as ``{{ services.api.url }}``.
    """
    known = _mapping(_mapping(plan.get("inventory")).get("services"))
    texts = {str(plan.get("service")), *texts_in([plan.get(key) for key in ("steps", "probes", "guard")])}
    told = {name for text in texts if "services" in text for name in EXPRESSION.findall(text)}
    return sorted(name for name in known if name in texts or name in told)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def command_line(command: CommandView) -> str:
    """Format the command so that a shell accepts it."""
    return shell_line(command.argv)


def shell_line(argv: Iterable[str]) -> str:
    """Format the words of a command so that a shell accepts them. Line breaks in a word, such as a script, are kept.

    Journals of older versions have only the end of a long word. The text then says so, because it begins in the middle of
    a sentence.
    """
    return shown(shlex.join(f"{NO_BEGINNING}{word[3:]}" if OLD_END.match(word) else word for word in argv))


def command_outcome(command: CommandView) -> str:
    """Return the outcome of a command: its exit status, the signal that ended it, or the reason why neither is known."""
    if STOPPED.search(command.error or ""):
        return "stopped by Drillbook before its own end"
    if command.error:
        return f"no outcome: {one_line(command.error)}"
    if command.signal:
        return f"killed by {one_line(command.signal)}"
    return "no outcome recorded" if command.exit is None else f"exit {command.exit}"


def cut(text: str, total: int) -> str:
    """Return a note such as ``the last 4 KiB of 9 MiB`` if ``text`` is only the end of an output.

    The note is empty if ``text`` is complete.
    """
    kept = len(text.encode("utf-8", "replace"))
    if total > kept == 0:
        return f"{size(total)}, not recorded"
    return f"the last {size(kept)} of {size(total)}" if total > kept else ""


def unsigned(view: RunView) -> str:
    """Return a text about the lines of the journal that have no trusted signature, because the process that wrote them died before it
    signed them. The result is empty if there are no such lines.
    """
    parts = []
    if not view.finished:
        end = f"up to line {view.own.events} of the journal"
        parts.append(f"the controller of the run died before it signed the last lines that it wrote, {end}")
    if any(recovery.finished is None and not recovery.refused for recovery in view.recoveries):
        parts.append("a recovery died before it signed the lines that it wrote")
    verify = f"`{view.program} report.verify {one_line(view.result.run)}`"
    known = f"Nobody can sign them later; {verify} names them. For a record that is signed as a whole, run the drill again."
    return f"{', and '.join(parts)}. {known}" if parts else ""


def owner(view: RunView) -> str:
    """Return the owner of the drill, with the role and the address that the inventory gives.

    The result is empty when the drill names no owner.
    """
    if not view.owner:
        return ""
    contact = view.contacts.get(view.owner, {})
    told = ", ".join(one_line(contact[key]) for key in ("role", "email", "phone") if contact.get(key))
    return one_line(view.owner) + (f" ({told})" if told else "")
