"""A drill or a suite, read from its file and checked as far as a file alone can be."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic import field_validator as check_field

from drillbook.diagnosis import trees as source
from drillbook.diagnosis.tree import Tree
from drillbook.errors import SpecError, UnknownName
from drillbook.language import strict, template
from drillbook.language.strict import Document, Place
from drillbook.plan.window import Window
from drillbook.sdk import discovery, entries
from drillbook.sdk.action import Action, find, known_names
from drillbook.sdk.probe import Probe
from drillbook.values import Duration

NOT_DRILLS = frozenset({source.FOLDER})
"""Folders of ``drills/`` that hold something else."""
DIAGNOSIS = "diagnosis.finds"
"""The action that applies diagnosis trees."""
PHASES = ("ready", "backup", "inject", "detect", "diagnose", "restore", "verify", "cleanup")
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Objectives(_Part):
    """What the recovery must reach."""

    rto: Duration | None = Field(default=None, description="Longest time from the disruption to sustained recovery.")
    rpo: Duration | None = Field(default=None, description="Longest span of acknowledged writes that may be lost.")
    detect: Duration | None = Field(default=None, description="Longest time from the disruption to its detection.")


def _everywhere(value: object) -> object:
    """A bare number is the limit over all hosts."""
    return {"all": value} if isinstance(value, int) and not isinstance(value, bool) else value


_SHARE: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 100}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 1}
Counts = Annotated[
    dict[str, Annotated[int, Field(ge=1)]],
    BeforeValidator(_everywhere),
    WithJsonSchema({"anyOf": [_COUNT, {"type": "object", "additionalProperties": _COUNT}]}),
]
Shares = Annotated[
    dict[str, Annotated[int, Field(ge=1, le=100)]],
    BeforeValidator(_everywhere),
    WithJsonSchema({"anyOf": [_SHARE, {"type": "object", "additionalProperties": _SHARE}]}),
]


class Guard(_Part):
    """Where and when the drill may run, how far it may reach, and what ends it at once."""

    environments: tuple[str, ...] = Field(default=("lab",), description="Where it may run; elsewhere it is refused.")
    windows: tuple[Window, ...] = Field(
        default=(), description="When it may begin: `days`, `from`, `to`, `zone`; default: always."
    )
    max_hosts: Counts = Field(
        default_factory=dict, description="Most hosts that faults may hit: a number, or a number by group."
    )
    max_percent: Shares = Field(default_factory=dict, description="Largest share of hosts that faults may hit, by group.")
    abort_if: tuple[dict[str, Any], ...] = Field(
        default=(), description="What must stay good: probes and reading actions; once one is not, all is put back at once."
    )
    hosts: str | tuple[str, ...] = Field(
        default=(), description="Hosts that must stay reachable; two failures in a row end the run."
    )
    lease: Duration = Field(
        default=Duration(30),
        description=("A target reverts faults by itself when it has not heard of the controller for so long: 5s to 1h."),
    )
    approval: bool = Field(
        default=False,
        description=("True: needs `--confirm ENVIRONMENT` and a signed approval, as protected environments always do."),
    )

    @check_field("lease")
    @classmethod
    def _lease(cls, value: Duration) -> Duration:
        if not 5 <= value <= 3600:
            raise ValueError(f"expected 5s to 1h, not {value}")
        return value


class ConditionWords(_Part):
    """What a condition of `abort_if` may say beside its action or probe."""

    name: str = Field(default="", description="What must stay good, in a few words.")
    hosts: str | tuple[str, ...] | None = Field(default=None, description="Action: where; default: the service's host.")
    expect: str | tuple[str, ...] | None = Field(
        default=None, description="Action: expressions over `result` that must stay true."
    )
    every: Duration | None = Field(default=None, ge=0.1, description="Time between two looks; default: 1s.")
    hold: Duration = Field(
        default=Duration(0), alias="for", ge=0, description="How long it must be bad before it ends the run."
    )
    timeout: Duration | None = Field(default=None, gt=0, description="Action: time for one look.")
    tries: int = Field(default=3, ge=1, le=100, description="So many looks in a row without an answer end the run too.")


class Keywords(_Part):
    """What a step may say beside its action."""

    name: str = Field(default="", description="What the step is for, in a few words.")
    hosts: str | tuple[str, ...] | None = Field(default=None, description="Hosts or groups; default: the service's host.")
    save: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] | None = Field(
        default=None, description="Name under which later steps see the facts."
    )
    when: str | None = Field(
        default=None,
        description=("Expression; the step is skipped when it is false. A verification that was skipped was not passed."),
    )
    timeout: Duration | None = Field(
        default=None, gt=0, description="Time for one attempt, or for all of them with `every`."
    )
    retries: int = Field(default=0, ge=0, le=100, description="Further attempts after a failure.")
    every: Duration | None = Field(
        default=None, gt=0, description="Poll: attempt again and again until it succeeds or `timeout`."
    )
    expect: str | tuple[str, ...] | None = Field(default=None, description="Expressions over `result` that must be true.")
    allow_failure: str | None = Field(default=None, min_length=3, description="The reason why a failure may pass.")


@dataclass(frozen=True, slots=True)
class Step:
    """One step as written: an action, its parameters, its keywords, and where it stands."""

    action: type[Action]
    params: dict[str, Any]
    keywords: Keywords
    place: Place
    group: int | None

    @property
    def dynamic(self) -> frozenset[str]:
        """Parameters whose value is an expression."""
        return frozenset(key for key, value in self.params.items() if template.has_template(value))


@dataclass(frozen=True, slots=True)
class ProbeUse:
    """One probe as written."""

    probe: type[Probe]
    params: dict[str, Any]
    place: Place


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of ``guard.abort_if`` as written: a step that reads, or a probe."""

    use: Step | ProbeUse
    words: ConditionWords
    place: Place


class Head(_Part):
    """The keys of a drill beside its phases."""

    drill: Name = Field(description="Name of the drill; the same as its file's.")
    title: str = Field(min_length=1, description="What it shows, in one line.")
    description: str = Field(default="", description="Why, for the reader of the report.")
    service: str = Field(description="The service that it is about.")
    owner: str = Field(default="", description="A contact of the inventory.")
    objectives: Objectives = Field(default_factory=Objectives, description="RTO, RPO and time to detect.")
    guard: Guard = Field(default_factory=Guard, description="Where and when it may run, and what ends it.")
    every: Duration | None = Field(
        default=None, gt=0, description="How often it must pass, such as 90d: `drill.list` says when it is due."
    )


@dataclass(frozen=True, slots=True)
class Drill:
    """A drill: its head, its probes, and the steps of each phase."""

    head: Head
    probes: tuple[ProbeUse, ...]
    phases: dict[str, tuple[Step, ...]]
    document: Document
    conditions: tuple[Condition, ...] = ()
    trees: tuple[Tree, ...] = ()
    """The diagnosis trees of its project, when a step makes a diagnosis."""

    @property
    def name(self) -> str:
        """Name of the drill."""
        return self.head.drill


class Suite(_Part):
    """Several drills, run one after another."""

    suite: Name = Field(description="Name of the suite; the same as its file's.")
    title: str = Field(min_length=1, description="What it is for, in one line.")
    drills: tuple[Name, ...] = Field(min_length=1, description="Names of its drills, in order.")
    every: Duration | None = Field(
        default=None, gt=0, description="How often it must pass, such as 90d: `drill.list` says when it is due."
    )


def load(path: Path, trees: Path | None = None, known: Collection[str] | None = None) -> Drill | Suite:
    """Read a drill or a suite; ``trees`` is the folder of its diagnosis trees, where that is not beside it.

    With ``known``, the names of all drills, those of a suite must be among them. Raises SpecError with its place.
    """
    document = strict.load(path, error_type=SpecError)
    if "suite" in document.value and "drill" not in document.value:
        suite = document.validate(Suite, document.value)
        _same_name(document, "suite", suite.suite, path)
        for index, name in enumerate(suite.drills if known is not None else ()):
            if name == suite.suite or name not in (known or ()):
                near = strict.did_you_mean(name, sorted(set(known or ()) - {suite.suite}))
                raise document.error(("drills", index), f"there is no drill {name!r}", hint=near)
        return suite
    return _drill(document, path, trees)


def _drill(document: Document, path: Path, trees: Path | None) -> Drill:
    head_keys = {key: value for key, value in document.value.items() if key not in (*PHASES, "probes")}
    for key in head_keys:
        if key not in Head.model_fields:
            known = [*Head.model_fields, "probes", *PHASES]
            raise document.error(
                (key,),
                f"unknown key {key!r}",
                key=True,
                hint=f"{strict.did_you_mean(key, known)}known keys: {', '.join(known)}",
            )
    head = document.validate(Head, head_keys)
    _same_name(document, "drill", head.drill, path)
    probes = tuple(_probe(document, item, ("probes", index)) for index, item in enumerate(_list(document, ("probes",))))
    phases = {phase: _steps(document, phase) for phase in PHASES}
    if not any(phases.values()):
        raise document.error((), "the drill has no steps", hint=f"write steps under one of: {', '.join(PHASES)}")
    conditions = tuple(
        _condition(document, dict(item), ("guard", "abort_if", index)) for index, item in enumerate(head.guard.abort_if)
    )
    return Drill(head, probes, phases, document, conditions, _trees(document, trees or source.beside(path), phases))


def _trees(document: Document, folder: Path | None, phases: dict[str, tuple[Step, ...]]) -> tuple[Tree, ...]:
    """The trees beside the drill, when one of its steps needs them. Raises SpecError."""
    using = next((step for steps in phases.values() for step in steps if step.action.name() == DIAGNOSIS), None)
    if using is None:
        return ()
    if folder is None and not discovery.shipped("trees"):
        raise document.error(
            (*using.place, DIAGNOSIS),
            f"{DIAGNOSIS} needs diagnosis trees, and there are none",
            key=True,
            hint=f"put trees in the folder {source.FOLDER} beside the drills",
        )
    return source.load_all(folder)


def _same_name(document: Document, key: str, name: str, path: Path) -> None:
    if name != path.stem:
        raise document.error(
            (key,),
            f"the {key} is named {name!r}, but its file {path.name!r}",
            hint=f"name the file {name}.yml, or the {key} {path.stem}",
        )


def _list(document: Document, place: Place) -> list[Any]:
    value = document.value
    for part in place:
        value = value.get(part) if isinstance(value, dict) else value[part]
    if value is None:
        return []
    if not isinstance(value, list):
        raise document.error(place, f"{place[-1]!r} must be a list", hint="begin each entry with `- `")
    return value


def _steps(document: Document, phase: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    for index, item in enumerate(_list(document, (phase,))):
        place: Place = (phase, index)
        if isinstance(item, dict) and "parallel" in item:
            if len(item) > 1 or not isinstance(item["parallel"], list) or not item["parallel"]:
                raise document.error(
                    place,
                    "`parallel` stands alone and holds a list of steps",
                    hint="write `- parallel:` and below it, indented, each step with its own `- `",
                )
            steps += [
                _step(document, inner, (*place, "parallel", position), index)
                for position, inner in enumerate(item["parallel"])
            ]
        else:
            steps.append(_step(document, item, place, None))
    return tuple(steps)


def _step(document: Document, item: Any, place: Place, group: int | None) -> Step:
    name, params = entries.named(document, item, place, "a step", tuple(Keywords.model_fields))
    action = entries.find_class(document, name, (*place, name), Action)
    keywords = document.validate(Keywords, {key: value for key, value in item.items() if key != name}, place)
    if keywords.every and not keywords.timeout:
        raise document.error((*place, "every"), "`every` polls until `timeout`, which is missing", hint="add `timeout: 30s`")
    step = Step(action, params, keywords, place, group)
    entries.check_params(document, action, params, step.dynamic, (*place, name))
    return step


def _probe(document: Document, item: Any, place: Place) -> ProbeUse:
    name, params = entries.named(document, item, place, "a probe", ())
    probe = entries.find_class(document, name, (*place, name), Probe)
    dynamic = frozenset(key for key, value in params.items() if template.has_template(value))
    entries.check_params(document, probe, params, dynamic, (*place, name))
    return ProbeUse(probe, params, place)


def _condition(document: Document, item: dict[str, Any], place: Place) -> Condition:
    keys = tuple(info.alias or key for key, info in ConditionWords.model_fields.items())
    name, params = entries.named(document, item, place, "a condition", keys)
    words = document.validate(ConditionWords, {key: value for key, value in item.items() if key != name}, place)
    dynamic = frozenset(key for key, value in params.items() if template.has_template(value))
    acting = any(getattr(words, key) is not None for key in ("hosts", "expect", "timeout"))
    found = _condition_class(document, name, (*place, name), acting=acting)
    entries.check_params(document, found, params, dynamic, (*place, name))
    if issubclass(found, Action):
        keywords = Keywords(name=words.name, hosts=words.hosts, expect=words.expect, timeout=words.timeout)
        return Condition(Step(found, params, keywords, place, None), words, place)
    for key in ("hosts", "expect", "timeout"):
        if getattr(words, key) is not None:
            raise document.error(
                (*place, key),
                f"{key!r} belongs to an action, and {name} is a probe",
                key=True,
                hint="a probe is asked from the controller, and its answer is good or bad; "
                "`timeout` is among its own parameters",
            )
    return Condition(ProbeUse(found, params, place), words, place)


def _condition_class(document: Document, name: str, place: Place, *, acting: bool) -> type[Any]:
    """The availability probe or the action ``name``; of two, the action when ``acting``. Raises SpecError."""
    found: dict[bool, type[Any]] = {}
    for acts, kind in ((False, Probe), (True, Action)):
        with contextlib.suppress(UnknownName):
            found[acts] = find(name, kind)
    if not found:
        known = [*known_names(Probe), *known_names()]
        near = [one for one in known if one.startswith(name.partition(".")[0] + ".")]
        hint = f"there are: {', '.join(dict.fromkeys(near))}" if near else "see `invoke actions`"
        hint = discovery.hint(strict.did_you_mean(name, known) + hint)
        raise document.error(place, f"there is no action or probe {name!r}", key=True, hint=hint)
    chosen = found.get(acting) or next(iter(found.values()))
    if issubclass(chosen, Probe) and chosen.KIND != "availability":
        raise document.error(
            place,
            f"{name} writes; a condition only looks",
            key=True,
            hint="use a probe of the kind availability, such as http.available, or an action that reads",
        )
    return chosen


def names_in(folder: Path) -> dict[str, Path]:
    """Drills and suites below ``folder`` by name, without reading them. Raises SpecError for a name that two files have."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.yml")):
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", path.stem) or path.relative_to(folder).parts[0] in NOT_DRILLS:
            continue
        if path.stem in found:
            raise SpecError(
                f"two drills are named {path.stem!r}: {found[path.stem]} and {path}",
                hint="give one of them another name, in its file and in its `drill:`",
            )
        found[path.stem] = path
    return dict(sorted(found.items()))
