"""The reference pages, generated from the code so that they stay correct.

The pages are about actions, probes, needs on hosts, findings, errors, drills, inventories, the journal and the architecture.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from pydantic import BaseModel

from drillbook import errors, findings
from drillbook.catalog import shipped_files
from drillbook.events import page
from drillbook.exits import Exit
from drillbook.installation.program_name import NEUTRAL, as_called
from drillbook.inventory.inventory import Contact, Inventory
from drillbook.judge.verdicts import EXIT
from drillbook.plan import keywords, limits, spec
from drillbook.plan.window import Window
from drillbook.reference import architecture, comparing, findings_page, needs_page
from drillbook.sdk import examples
from drillbook.sdk.action import Action, Fault, find, known_names
from drillbook.sdk.discovery import service_class, service_kinds
from drillbook.sdk.host import LeaseConfig, ManagerConfig, Target
from drillbook.sdk.probe import Probe
from drillbook.sdk.service import Service
from drillbook.values import Secret

HEAD = "<!-- made by `invoke docs` from the code; change it there -->\n\n"

ACTIONS = """\
# Actions

A step names one action with its parameters. The *effect* of an action is `read` (it changes nothing), `write` (it changes
something on purpose) or `fault` (it breaks something). Faults are allowed only in the phase `inject`.

The examples are parts of shipped drills, and use the services of the labs' inventories. `{{ dump.location }}` is a fact of the
step that is saved as `dump`. `invoke actions NAME` shows the same text at the terminal.
"""

PROBES = """\
# Probes

Probes run during the whole drill. A probe of the kind `availability` checks again and again if a service is good. A probe of
the kind `canary` writes numbered rows, and reads after the restore which of them survived. How figures are computed from the
samples: [clocks](clocks.md). Canaries for any stack: [how to](canaries.md).
"""

SUITE = "## Keys of a suite\n"
DRILLS = """\
# Drills and suites

A drill is one YAML file below `drills/`, named like the drill. Its phases are lists of steps, carried out in this
order: %s.

## Keys of a drill

%s
`probes` is a list of [probes](probes.md).

### objectives

%s
### guard

%s
The page [safety](safety.md) describes the promises of each rule, and their limits.

#### guard.windows

A list of windows. The drill may begin while one of them is open.

%s
#### guard.abort_if

A list of conditions. Each condition has one [probe](probes.md) of the kind `availability`, or one read-only
[action](actions.md), with its parameters. These keys may stand next to it:

%s
## A step

A step has one [action](actions.md) with its parameters. These keys may stand next to it:

%s
`parallel: [steps]` runs several steps at once.

## Restores

Some faults can be repaired only by a restore; the page [actions](actions.md) tells this for each fault. The phase
`restore` must then contain the action that restores the data. This action must name the same service, and use the
backup that the phase `backup` verifies. A command, script or playbook of your own (`command.run`, `command.script`,
`ansible.playbook`, `docker.exec`) is a restore when it has the parameter `restores`. The phase `verify` must then compare the content:

```yaml
restore:
  - command.run:
      argv: [/srv/runbook/restore-database, "{{ dump.location }}"]
      effect: write
      restores: {service: database, from: "{{ dump.location }}"}
    hosts: db-1
verify:
  - postgres.matches: {service: database, manifest: "{{ dump.manifest }}"}
```

A fault may also be repaired from a backup that the team takes itself, if backups of this kind can be restored in place ([Backup
methods](backup-methods.md)). The run is refused right before the fault when the restore would lose more than `rpo`:

```yaml
objectives: {rpo: 26h}
backup:
  - backup.check: {service: nightly}
inject:
  - postgres.lose_data: {service: database}
restore:
  - backup.restore: {service: database, from: nightly}
```

Such a drill proves the RPO of your routine backups. A drill that takes the restored backup itself, like those of the lab, meets its
RPO only with a *reservation*, which reports show by the mark †: after a real failure, the newest routine backup counts, and it is
older. No shipped drill removes this reservation. Write the drill above for a test environment: [Break and restore your own
PostgreSQL](own-postgres.md#lose-the-data) has a whole one. The reservation may also stay: it only tells how the figure was measured,
and a rehearsal such as `routine-database` shows how old a routine backup is. More: [the backup as a
gate](safety.md#the-backup-as-a-gate).

Some systems restore a part in place, such as one table: [Break and restore your own PostgreSQL](own-postgres.md#drop-a-table).

A command may also be the fault. It then has `effect: fault`, and two further commands. The command `proof` ends with 0
while the fault is active, and with 1 when the fault is gone. The command `undo` undoes the fault. For a fault that only
a restore can repair, write:

```yaml
inject:
  - command.run:
      argv: [/srv/runbook/wipe-database]
      effect: fault
      undo: restore
      proven_by: proof               # `save` or id of the step of `backup` that proves the backup
      proof: [/srv/runbook/database-is-empty]
    hosts: db-1
```

A restore must be safe to run twice: a recovery carries it out again. More: [safety](safety.md#the-backup-as-a-gate).

## Keys of a suite

%s
## Expressions

`{{ }}` is a Jinja expression, evaluated in a sandbox. It can use `run` (`id`, `started`, `operator`), `environment`, `drill`,
`services`, `hosts`, and the results that earlier steps saved. A name that is not known at that step is an error, which is
reported with its line before anything runs. Text that a target printed is never evaluated.

## Durations and sizes

Durations are written as `100ms 10s 5m 2h 1d`, and sizes as `10MiB 2GiB 5MB`. A number without a unit is an error.
"""

INVENTORIES = """\
# Inventories

One YAML file below `inventory/` describes one environment. It contains the sources of secrets, never their values:
`!env NAME`, `!file PATH`, `!command [program, arguments]`.

"""


ERRORS = """\

A message says what happened; its hint says what to do next. Each error has a code, which stays the same in all versions, and
one of these exit statuses. Plugins raise the classes of `drillbook.errors`."""
CONTACTS = """\

### How a contact is notified

`notify` names service URLs of [apprise](https://github.com/caronc/apprise/wiki)
(`pip install './drillbook-1.0.0-py3-none-any.whl[notify]'`). These URLs contain tokens, so each of them is a secret:

```yaml
contacts:
  oncall:
    role: on-call engineer
    notify: [!env ONCALL_DINGTALK, !file secrets/oncall-mail]
    on: [start, end, abort, residue]
```

| service | URL |
|---|---|
| mail | `mailtos://user:password@smtp.example.com?from=drills@example.com&to=oncall@example.com` |
| Slack | `slack://TokenA/TokenB/TokenC/#channel` |
| DingTalk 钉钉 | `dingtalk://Secret@AccessToken` |
| Feishu 飞书, Lark | `feishu://Token`, `lark://Token` |
| WeCom 企业微信 | `wecombot://BotKey` |
| webhook | `jsons://user:password@host:port/path` (`json://` without TLS) |

`on` lists the occasions of messages. `start`: a run begins; the message names its faults. `end`: the run has ended; the
message has the verdict, RTO and RPO with their errors, and the path of the report. `abort`: the run was stopped; the message
is sent at once, while the changes are still being undone. `residue`: changes could not be undone, by a run or by
`invoke drill.recover`; the message tells how to undo them by hand. A message that was not delivered within 10 s gives the
finding `contact-not-told`. Messages do not delay the run. Only the report waits for them, after all changes were undone.

The last line of each message is an [anchor](audit.md#anchors) of the journal at that time. Whoever keeps the messages can
show later that a run was removed or changed.
"""


def pages() -> dict[str, str]:
    """Return the text of every generated page. The key of each text is the page's file name in ``docs/``."""
    return {name: text_of(name) for name in makers()}


def text_of(name: str) -> str:
    """Return the text of the generated page whose file name in ``docs/`` is ``name``.

    Texts in the code call the program `invoke`, and the pages call it `drillbook`; see docs/index.md.
    """
    return HEAD + as_called(makers()[name](), NEUTRAL).rstrip() + "\n"


def makers() -> dict[str, Callable[[], str]]:
    """Return the function that makes each page. The key of each entry is the page's file name in ``docs/``."""
    return {
        "actions.md": _actions,
        "probes.md": _probes,
        "needs.md": needs_page.page,
        "findings.md": _findings,
        "errors.md": _errors,
        "drills.md": _drills,
        "inventories.md": _inventories,
        "journal.md": page.page,
        "architecture.md": architecture.page,
    }


def write(docs: Path) -> list[str]:
    """Write the pages that changed. Return their file names."""
    made = pages()
    changed = [
        name
        for name, text in made.items()
        if not (docs / name).is_file() or (docs / name).read_text(encoding="utf-8") != text
    ]
    for name in changed:
        (docs / name).write_text(made[name], encoding="utf-8")
    return changed


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _said(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "")


def _default(info: Any) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    if value is None or value in ({}, (), "") or isinstance(value, BaseModel):
        return ""
    value = str(value).lower() if isinstance(value, bool) else value
    return f"`{', '.join(map(str, value)) if isinstance(value, tuple) else value}`"


def _keys(model: type[BaseModel], leave: Sequence[str] = (), linked: Mapping[str, Any] = MappingProxyType({})) -> str:
    rows = [
        (f"`{info.alias or name}`", _default(info), f"{info.description or ''}{_link(name, linked)}")
        for name, info in model.model_fields.items()
        if name not in leave
    ]
    return _table(("key", "default", "meaning"), rows) if rows else "No parameters.\n"


def _link(name: str, linked: Mapping[str, Any]) -> str:
    return f" [Keys](#{name})." if name in linked else ""


def _nested(annotation: Any) -> Iterable[type[BaseModel]]:
    """Yield the models that the type ``annotation`` of a key contains. Secrets and services are left out."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from () if issubclass(annotation, (Secret, Service)) else (annotation,)
    for inner in get_args(annotation):
        yield from _nested(inner)


def _mappings(models: Iterable[type[BaseModel]]) -> dict[str, type[BaseModel]]:
    """Find the fields of ``models`` whose values are mappings with fixed keys. Return their models by field name."""
    by_key: dict[str, type[BaseModel]] = {}
    for model in models:
        for name, info in model.model_fields.items():
            for inner in _nested(info.annotation):
                if by_key.setdefault(name, inner) is not inner:
                    raise ValueError(f"two kinds of services have different keys below `{name}`")
    return dict(sorted(by_key.items()))


def _actions() -> str:
    text = ACTIONS
    family = ""
    for name in known_names():
        action: type[Action] = find(name)
        if name.partition(".")[0] != family:
            family = name.partition(".")[0]
            text += f"\n## {family}\n"
        text += f"\n### {name}\n\n{_said(action)}\n\n{_traits(action)}\n\n{_keys(action)}"
        facts = inspect.cleandoc((action.inject if hasattr(action, "inject") else action.run).__doc__ or "")
        text += f"\n{facts}\n" if facts.startswith("Facts") else ""
        text += _example(name)
    return text


def _example(name: str, kind: type[Action] | type[Probe] = Action) -> str:
    """Return the example of an action or probe as Markdown. The result is empty when it has no example."""
    example = examples.of(name, shipped_files.root() / "drills", kind)
    return f"\n```yaml\n{example.text}\n```\n" if example else ""


def _traits(action: type[Action]) -> str:
    where = {
        "service": "on the host of its service",
        "hosts": "on the hosts that the step names",
        "controller": "on the controller",
    }[action.PLACE]
    declared = any(info.alias == "effect" for info in action.model_fields.values())
    effect = "as the drill declares" if declared else f"`{action.EFFECT}`"
    traits = [f"Effect: {effect}", f"runs {where}", f"timeout {action.TIMEOUT:g} s"]
    if issubclass(action, Fault) and action.RESTORE_ONLY:
        traits.append(
            "only a restore can undo this fault, so the drill needs a backup, its verification, a restore and a comparison"
        )
        traits.append("restored by " + " or ".join(f"`{name}`" for name in dict.fromkeys(action.RESTORED_BY.values())))
    if action.PROVES_BACKUP:
        traits.append("verifies a backup")
    if action.COMPARES:
        traits.append("compares the content with a backup's manifest")
    return "; ".join(traits) + "."


def _probes() -> str:
    text = PROBES
    for name in known_names(Probe):
        probe: type[Probe] = find(name, Probe)
        text += f"\n## {name}\n\n{_said(probe)}\n\nKind: `{probe.KIND}`.\n\n{_keys(probe)}"
        text += _example(name, Probe)
    return text


def _findings() -> str:
    rows = [(f"`{code}`", kind.severity, kind.title, kind.remedy) for code, kind in findings.CATALOGUE.items()]
    return f"# Findings\n\n{findings_page.HEAD}\n\n{_table(('code', 'severity', 'what', 'what to do'), rows)}"


def _errors() -> str:
    said: dict[tuple[str, str], list[str]] = {}
    for error in _every(errors.DrillbookError):
        said.setdefault((f"`{error.code}`", str(error.exit_status)), []).append(_said(error).partition("\n")[0])
    rows = [(code, status, " Or: ".join(texts)) for (code, status), texts in said.items()]
    others = {"a usage error: nothing was touched": Exit.USAGE, "residue, whatever the verdict": Exit.RESIDUE}
    statuses = {f"`{verdict}`": status for verdict, status in EXIT.items()} | others
    verdicts = [(verdict, str(status)) for verdict, status in statuses.items()]
    return f"# Errors and exit statuses\n\n{_table(('verdict', 'exit'), verdicts)}\n{ERRORS}\n\n" + _table(
        ("code", "exit", "what"), rows
    )


def _every(kind: type[errors.DrillbookError]) -> Iterable[type[errors.DrillbookError]]:
    yield kind
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__:
            yield from _every(inner)


def _drills() -> str:
    phases = ", ".join(f"`{phase}`" for phase in spec.PHASES)
    parts = (spec.Head, spec.Objectives, limits.Guard, Window, keywords.ConditionWords, keywords.Keywords, spec.Suite)
    text = DRILLS % (phases, *(_keys(part) for part in parts))
    return text.replace(SUITE, comparing.section() + SUITE, 1)


def _inventories() -> str:
    kinds = {kind: service_class(kind) for kind in service_kinds()}
    mappings = _mappings(kinds.values())
    text = INVENTORIES + _keys(Inventory)
    text += f"\n## A host\n\n{_keys(Target, ('name',), mappings)}\n### manager\n\n{_keys(ManagerConfig)}\n"
    text += f"### lease\n\n{_keys(LeaseConfig)}\nHow a lease works: [safety](safety.md).\n\n## Services\n"
    for kind, model in kinds.items():
        text += f"\n### kind: {kind}\n\n{_said(model)}\n\n{_keys(model, ('name', 'kind'), mappings)}"
    text += "\n## Keys below the keys of a service\n"
    for name, mapping in mappings.items():
        text += f"\n### {name}\n\n{_said(mapping)}\n\n{_keys(mapping)}"
    return text + f"\n## A contact\n\n{_keys(Contact)}{CONTACTS}"
