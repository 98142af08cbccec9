"""Reading journals of older and newer versions, and damaged journals."""

import json
from pathlib import Path

import pytest

from drillbook.errors import JournalError
from drillbook.events.content import Unknown
from drillbook.events.event import Event
from drillbook.events.kinds import KINDS
from drillbook.journal.journal import FILE, Journal, read, salvage
from drillbook.journal.run_state import RunState
from drillbook.redact import Redactor
from drillbook.values import canonical, digest
from tests.contents import content
from tests.judge.story import Story

GOLDEN = sorted((Path(__file__).parents[1] / "golden").rglob("*.jsonl"))


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path, Redactor([]), origin=0.0)
    yield made
    made.close()


def rewritten(path, number, change):
    """Change the content of one line as another version could have written it, with a valid chain."""
    lines, prev = [json.loads(line) for line in path.read_bytes().splitlines()], None
    change(lines[number])
    for line in lines:
        del line["hash"]
        line["prev"] = prev
        prev = line["hash"] = digest(canonical(line))
    path.write_bytes(b"".join(canonical(line) + b"\n" for line in lines))


def test_there_are_golden_journals():
    assert len(GOLDEN) >= 5


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: "/".join(path.parts[-3:]))
def test_every_event_of_a_golden_journal_is_of_a_known_kind_and_gives_the_same_bytes(path):
    events = [Event.model_validate(json.loads(line)) for line in path.read_bytes().splitlines()]
    assert events
    for event in events:
        assert event.kind in KINDS
        assert event.what.kind_name() == event.kind
        assert not event.what.model_extra, "no version wrote a field that is not described"
        written = event.model_copy(update={"data": event.what.data()})
        assert canonical(json.loads(written.model_dump_json())) == canonical(json.loads(event.model_dump_json()))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_from_the_disk_as_it_was_recorded(journal, tmp_path, kind):
    what = content(kind)
    journal.append(what)
    found = read(tmp_path / FILE).events[0].what
    assert type(found) is type(what) is KINDS[kind]
    assert {key: value for key, value in found.data().items() if key != "slept_s"} == what.data()


def test_a_kind_of_a_newer_version_is_kept_as_it_is(journal, tmp_path):
    journal.append(content("run.started"))
    journal.append(Unknown(name="moon.rose", content={"over": ["here", 1.5, None]}), host="a")
    event = read(tmp_path / FILE).events[1]
    assert (event.kind, event.what, event.what.data()) == (
        "moon.rose",
        Unknown(name="moon.rose", content={"over": ["here", 1.5, None]}),
        {"over": ["here", 1.5, None]},
    )


@pytest.mark.parametrize("secret", ["message", "intent", "sidu", "samples"])
def test_a_secret_that_is_a_word_of_the_journal_leaves_it_readable(tmp_path, secret):
    journal = Journal(tmp_path, Redactor([secret]), origin=0.0)
    for kind in ("undone", "run.finished", "probe.samples"):
        journal.append(content(kind, {"why": f"because of {secret}"}))
    journal.close()
    events = read(tmp_path / FILE).events
    assert [event.kind for event in events] == ["undone", "run.finished", "probe.samples"]
    assert [event.data["why"] for event in events] == ["because of ***"] * 3


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("phase.ended", {"status": 7}, "phase.ended: status: Input should be a valid string"),
        ("phase.ended", {"status": None}, "phase.ended: status: Input should be a valid string"),
        ("undone", {"intent": "the first"}, "undone: intent: Input should be a valid integer"),
        (
            "probe.samples",
            {"samples": [[0.0, 0.1, "perhaps", None]]},
            "probe.samples: samples.0.2: Input should be a valid boolean",
        ),
        ("run.finished", {"residue": "nothing"}, "run.finished: residue: Input should be a valid tuple"),
    ],
)
def test_a_field_of_a_wrong_type_is_an_error_that_names_the_line(journal, tmp_path, kind, change, said):
    journal.append(content("run.started"))
    journal.append(content(kind))
    path = tmp_path / FILE
    rewritten(path, 1, lambda line: line["data"].update(change))
    with pytest.raises(JournalError) as caught:
        read(path)
    assert str(caught.value.message).startswith(f"{path}:2: the event is invalid: {said}")
    history, wrong = salvage(path)
    assert [event.kind for event in history.events] == ["run.started"]
    assert wrong == caught.value.message
    assert RunState(tmp_path).damage == wrong, "what the run left is not known, so nothing is broken on its hosts"


def test_a_newer_field_of_a_command_keeps_nobody_from_judging_the_run(tmp_path):
    story = Story(tmp_path).good()
    story.add(19.0, "command", "restore.1", "app-1", energy_kwh=0.25)
    story.events.insert(-1, story.events.pop())
    result = story.judge()
    assert [len(step.commands) for step in result.steps if step.result.id == "restore.1"] == [1]


def test_a_field_that_is_missing_is_an_error_too(journal, tmp_path):
    journal.append(content("phase.started"))
    rewritten(tmp_path / FILE, 0, lambda line: line["data"].clear())
    with pytest.raises(JournalError, match=f"{FILE}:1: the event is invalid: phase.started: phase: Field required"):
        read(tmp_path / FILE)
