"""Recovery by the command `drill.recover`: a lab that is gone, a lost journal, and a damaged one with what to do by hand."""

import contextlib
import json
from datetime import timedelta

import pytest

from drillbook.cli import recover
from drillbook.cli.program import program
from drillbook.journal.journal import FILE, read
from drillbook.journal.run_state import needs_recovery
from drillbook.project.project import Project
from tests.cli.test_overview import DAY, announce, change, killed, listed
from tests.cli.test_overview import shelf as shelf
from tests.engine.test_closure import desk as desk


def recovered(shelf, capsys, *argv):
    """Exit status and output of `drill.recover` in the project, as one line."""
    with contextlib.chdir(shelf.root):
        try:
            program().run(["drillbook", "drill.recover", *argv])
            status = 0
        except SystemExit as ended:
            status = ended.code
    told = capsys.readouterr()
    return status, " ".join((told.out + told.err).split())


@pytest.mark.parametrize("made", [None, timedelta(seconds=-60)], ids=["taken-down", "made-anew"])
def test_a_run_whose_lab_is_gone_is_settled(shelf, capsys, made):
    dead = shelf.open("sample", ago=timedelta(minutes=5))
    shelf.append(
        dead,
        "intent",
        {
            "action": "command.run",
            "params": {"argv": ["true"]},
            "effect": "fault",
            "undo": {"kind": "commands", "commands": [["true"]], "action": "", "params": {}, "why": ""},
        },
        step="restore.1",
        host="app-1",
    )
    if made is not None:
        shelf.lab(ago=made)
    text = " ".join(listed(shelf, capsys).split())
    assert f"- {dead.name} the lab of the run " in text
    assert "unfinished" not in text
    assert recover.recover(Project(shelf.root), "") == 0
    history = read(dead / FILE)
    assert not needs_recovery(history)
    assert [event.kind for event in history.events[-3:]] == ["recovery.started", "undone", "recovery.finished"]
    assert "the lab of the run" in history.events[-1].data["gone"]
    assert json.loads((dead / "result.json").read_text())["verdict"] == "aborted"
    assert dead.name not in listed(shelf, capsys)


def undone(desk, capsys, *options):
    """Lines that the recovery of a run prints. Its controller died after it had changed the mode of a file."""
    folder = desk.left(undo=("chmod", "0644", str(desk.file)))
    capsys.readouterr()
    with contextlib.chdir(desk.root):
        program().run(["drillbook", "drill.recover", *options])
    assert desk.file.stat().st_mode & 0o777 == 0o644
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == folder.name
    return lines


def test_a_recovery_prints_one_screen_with_the_result_last(desk, capsys):
    lines = undone(desk, capsys)
    assert len(lines) <= 23, "a screen of 24 lines, with the prompt"
    assert "  \u2713 controller  1 change undone: inject.1 files.chmod" in lines
    assert lines[-1] == "  \u2713 recovered: all changes of the run are undone; exit 0"
    told = "\n".join(lines)
    for detail in ("Objectives", "Clocks", "Findings", "token", "{", "undoing", "taken over"):
        assert detail not in told
    assert "drillbook drill sample" in told
    assert "read the report" in told


def test_a_verbose_recovery_prints_each_undo_and_the_whole_result(desk, capsys):
    said = " ".join(" ".join(undone(desk, capsys, "-v")).split())
    for detail in ("undoing inject.1 on controller", "Clocks", "exit status above is that of the run"):
        assert detail in said


@pytest.mark.parametrize("emptied", [True, False])
def test_an_empty_folder_of_a_run_is_unknown_and_never_clean(shelf, capsys, emptied):
    lost = shelf.open("sample")
    if emptied:
        (lost / FILE).write_bytes(b"")
    else:
        (lost / FILE).unlink()
    assert f"journal lost: {lost.name}" in listed(shelf, capsys)
    for argv in ((), (lost.name,)):
        status, said = recovered(shelf, capsys, *argv)
        assert status == 5
        assert "the actions of the run are unknown" in said
        assert f"move {lost} out of reports/" in said
    lost.rename(shelf.root / "kept")
    status, said = recovered(shelf, capsys)
    assert (status, f"there are no runs in {shelf.root / 'reports'}" in said) == (0, True)


@pytest.mark.parametrize("number", [3, 1])
def test_recovering_from_a_damaged_journal_says_what_to_do_by_hand(shelf, capsys, number):
    dead = killed(shelf)
    change(dead / FILE, number)
    text = listed(shelf, capsys)
    assert f"its journal is damaged: {dead.name}" in text
    assert "undo its changes" not in text
    for argv in ((), (dead.name,)):
        status, said = recovered(shelf, capsys, *argv)
        assert status == 5
        assert f"{dead / FILE}:{number}: the line was changed" in said
        assert "the documentation, page `Safety`, `Files on a target, and removing them by hand`" in said
        assert f"move {dead} out of reports/" in said
        assert f"/leases/{dead.name}" in said
        assert ("the hosts of the run: controller" in said) == (number > 1)
        assert ("on app-1, in this order: rm -f /x" in said) == (number > 1)
        assert (f"on controller: rm -rf /var/tmp/drillbook/runs/{dead.name}" in said) == (number > 1)
    dead.rename(shelf.root / "kept")
    assert recovered(shelf, capsys)[0] == 0


def test_what_was_announced_behind_the_damage_is_told_too(shelf, capsys):
    shelf.lab(ago=DAY)
    dead = shelf.open("sample")
    shelf.append(dead, "note", {})
    announce(shelf, dead)
    change(dead / FILE, 2)
    _, said = recovered(shelf, capsys)
    assert "journal: 1 before the damage, 2 after it" in said
    assert "rm -f /x" in said
