"""Kinds of events: each has a description and a reader, and no code names it as a string."""

import ast
from pathlib import Path

import pytest

from drillbook.events import page
from drillbook.events.kinds import KINDS

ROOT = Path(__file__).parent.parent.parent
SOURCE = ROOT / "src" / "drillbook"
CLASSES = {model.__name__: kind for kind, model in KINDS.items()}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path.parent.name != "events")

KEPT_FOR_PEOPLE = {
    "check.started",
    "observer.failed",
    "lease.ready",
    "guard.condition",
    "trace.sent",
    "pruning.started",
}
"""Kinds that no part of the program reads; people read them in the journal, or search for their lines."""
NOT_ON_THE_TERMINAL = {
    "recovery.finished",
    "check.started",
    "controller.stalled",
    "observer.failed",
    "capacity.history",
    "earlier.runs",
    "step.added",
    "privilege.used",
    "residue.settled",
    "settlement.refused",
    "intent",
    "command",
    "fault.gone",
    "backup.proven",
    "source.proven",
    "waiting",
    "diagnosed",
    "probe.prepared",
    "probe.started",
    "probe.samples",
    "probe.ended",
    "canary.writes",
    "canary.survivors",
    "settle.ended",
    "lock.failed",
    "lease.ready",
    "lease.failed",
    "guard.condition",
    "trace.sent",
    "pruning.started",
    "campaign.started",
    "campaign.resumed",
    "campaign.stopped",
    "campaign.finished",
    "site.intended",
    "site.ended",
}
"""Kinds that the terminal does not show during a run; the summary or the report does, or nobody needs them."""


def handled(tree):
    """Classes of events that a module matches on or tests for, including the subclasses of a tested base class."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.MatchClass) and isinstance(node.cls, ast.Name):
            names.add(node.cls.id)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "each", "contents", "last")
        ):
            names |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        elif isinstance(node, ast.Dict):
            names |= {key.id for key in node.keys if isinstance(key, ast.Name)}
    return {kind for kind, model in KINDS.items() if names & {base.__name__ for base in model.__mro__[:-3]} - {"Content"}}


def tree(path):
    return ast.parse(path.read_text())


def named_by_strings(path):
    """Places where a file names a kind as a string, compares with one, or looks a handler up by name."""
    for node in ast.walk(tree(path)):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Constant) and node.value in KINDS and "." in node.value:
            yield where
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            of_event = any(isinstance(side, ast.Attribute) and side.attr == "kind" for side in sides)
            words = {one.value for side in sides for one in ast.walk(side) if isinstance(one, ast.Constant)}
            if of_event and words & KINDS.keys():
                yield where
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr" and ".kind" in ast.unparse(node.args[1]):
            yield where


def test_no_kind_is_named_by_a_string():
    """A renamed kind must be a type error, not a silent change."""
    assert [where for path in FILES for where in named_by_strings(path)] == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('if event.kind == "done": pass', True),
        ('if last.kind in ("done", "failed"): pass', True),
        ('getattr(self, "_on_" + event.kind.replace(".", "_"))', True),
        ('x = "run.finished"', True),
        ('if undo.kind == "commands": pass', False),
        ("if event.kind == found.kind: pass", False),
    ],
)
def test_a_kind_in_a_string_would_be_found(tmp_path, line, found):
    path = tmp_path / "one.py"
    path.write_text(line)
    assert bool(list(named_by_strings(path))) == found


def test_every_kind_is_read_by_somebody_or_kept_for_people():
    read = set().union(*(handled(tree(path)) for path in FILES))
    assert set(KINDS) - read == KEPT_FOR_PEOPLE


def test_every_kind_is_told_on_the_terminal_or_left_out_on_purpose():
    told = handled(tree(SOURCE / "report" / "terminal" / "event_lines.py")) | handled(tree(SOURCE / "judge" / "notes.py"))
    assert set(KINDS) - told == NOT_ON_THE_TERMINAL


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_and_field_is_described(kind):
    model = KINDS[kind]
    assert model.__doc__ != model.__mro__[1].__doc__
    assert model.__doc__.rstrip().endswith(".")
    assert [name for name, info in model.model_fields.items() if not info.description] == []
    assert f"#### `{kind}`\n" in page.page()


def test_kinds_have_names_of_their_own():
    assert len(CLASSES) == len(KINDS) > 55
