"""The heading above changes that are not recorded as undone claims no failed undo that the journal does not prove."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from drillbook.events.runs import RecoveryFinished
from drillbook.events.steps import UndoFailed
from drillbook.judge.result import Residue, RunView, StepView
from drillbook.judge.steps import ONLY_BY_RESTORE
from drillbook.report import html, junit, markdown, residue_state, rows
from drillbook.report.terminal import summary
from tests.judge.story import killed_before_its_restore
from tests.report import renderings, samples
from tests.report.test_agreement import plain
from tests.report.test_end_state import INTENT, RECOVERY, continued

UNRECORDED, FAILED = "No undo of 1 change was recorded", "1 change could not be undone"


@pytest.mark.parametrize(
    ("name", "said"),
    [("killed", UNRECORDED), ("died", UNRECORDED), ("closed", f"{UNRECORDED}; closed later by a person"), ("stuck", FAILED)],
)
def test_the_heading_says_what_is_known(name: str, said: str) -> None:
    view = samples.recorded(name)
    assert residue_state.heading(view) == said
    for text in (html.render(view), markdown.render(view)):
        assert said in plain(text)


def test_no_format_tells_of_a_failed_undo_when_the_controller_died() -> None:
    view = samples.recorded("killed")
    for text in (html.render(view), markdown.render(view), junit.render(view), renderings.formats(view)["txt"]):
        assert "could not be undone" not in plain(text)
        assert "NOT UNDONE" not in text
    assert "it is not known if the system is as the drill found it" in plain(html.render(view))
    (finding,) = [one for one in view.result.findings if one.code == "residue"]
    assert finding.title == "No undo of a change was recorded: pretend.break on a"


def test_every_report_names_the_host_of_the_data_the_backup_and_the_commands(tmp_path: Path) -> None:
    view = killed_before_its_restore(tmp_path).judge()
    screen = io.StringIO()
    Console(file=screen, width=300).print(*summary.residue_lines(view))
    for text in (plain(html.render(view)), markdown.render(view).replace("\\", "").replace("&#58;", ":"), screen.getvalue()):
        assert "s3://bucket/dump#sha256=12" in text
        assert "cat > drills/undo-restore-1.yml <<'END'" in text
        assert "your own runbook" not in text
    assert "postgres.drop_table on db-1 (step inject.1)" in screen.getvalue()
    assert "No undo of a change was recorded: postgres.drop_table on db-1" in plain(html.render(view))
    assert "s3://bucket/dump" in junit.render(view)


def unfinished(folder: Path, program: str) -> RunView:
    """Unfinished run that ``program`` began, and whose controller died before its restore."""
    story = killed_before_its_restore(folder)
    story.change(0, program=program)
    return story.judge()


@pytest.mark.parametrize("program", ["invoke", "drillbook"])
def test_the_command_to_run_comes_first_and_the_others_are_for_the_case_that_it_fails(tmp_path: Path, program: str) -> None:
    """A person who reads this in the night need not find out which of the commands is needed."""
    view = unfinished(tmp_path, program)
    screen = io.StringIO()
    Console(file=screen, width=300).print(*summary.residue_lines(view))
    command = f"{program} drill.recover r1"
    box = re.split('id="residue"|</section>', html.render(view))[1]
    text = markdown.render(view).split("### ")[0]
    for told in (plain(box), re.sub("[`*]", "", text)):
        first, by_hand = told.split("Only if this command fails")
        assert f"To undo the changes, run: {command}" in first
        assert "--from-backup" not in first
        assert f"{command} --from-backup does this" in by_hand
        assert f"{program} runbook sample" in by_hand
    printed = screen.getvalue()
    assert printed.count("drill.recover r1\n") == 1
    assert printed.index("to undo the changes: ") < printed.index("only if this fails, by hand:")


@pytest.mark.parametrize("program", ["invoke", "drillbook"])
def test_every_command_of_a_page_has_the_name_of_the_program_that_the_user_called(tmp_path: Path, program: str) -> None:
    view = unfinished(tmp_path, program)
    (other,) = {"invoke", "drillbook"} - {program}
    for page in (html.render(view), markdown.render(view), junit.render(view)):
        assert f"{program} drill" in page
        assert f"{other} drill" not in page
        assert "drill.recover`" not in page, "the name of the run is part of each command"


def test_the_remedy_of_a_change_that_is_not_undone_names_the_command_to_run(tmp_path: Path) -> None:
    view = unfinished(tmp_path, "invoke")
    found = residue_state.findings(view, rows.findings_of(view.result))
    remedies = {one.remedy for one in found if one.code == "residue"}
    assert remedies == {
        "Undo the change with `invoke drill.recover r1`. Only if this command fails, undo it by hand, as described above."
    }
    closed = samples.recorded("closed")
    (finding,) = [one for one in residue_state.findings(closed, rows.findings_of(closed.result)) if one.code == "residue"]
    assert "drill.recover" not in finding.remedy


def failed_later(folder: Path) -> RunView:
    """Run whose controller died, and whose recovery could not undo the change."""
    left = {"step": "inject.1", "host": "a", "what": "pretend.break", "why": "no route to host", "by_hand": "mend door"}
    failed = UndoFailed(intent=INTENT, message="no route to host")
    return continued("killed", folder, RECOVERY, failed, RecoveryFinished(residue=(left,)))


def test_a_recovery_that_failed_proves_that_the_change_could_not_be_undone(tmp_path: Path) -> None:
    view = failed_later(tmp_path)
    assert residue_state.heading(view) == FAILED
    assert "The system is not as the drill found it." in plain(html.render(view))
    assert any(one.title.startswith("A change could not be undone") for one in view.result.findings)


def test_both_kinds_of_changes_in_one_heading(tmp_path: Path) -> None:
    view = failed_later(tmp_path)
    steps = (*view.steps, samples.step("inject.2", "pretend.break", "b"))
    other = Residue(step="inject.2", host="b", what="pretend.break", why="unknown", by_hand="mend door")
    result = view.result.model_copy(update={"residue": (*view.result.residue, other)})
    both = view.model_copy(update={"steps": steps, "result": result})
    assert residue_state.heading(both) == "1 change could not be undone, and no undo of 1 change was recorded"
    assert [residue_state.state(both, one) for one in result.residue] == ["could not be undone", "no undo recorded"]


def changed(view: RunView, undo: str, *more: StepView) -> RunView:
    """Run whose fault has another undo."""
    steps = [one.model_copy(update={"undo": undo}) if one.result.id == "inject.1" else one for one in view.steps]
    return view.model_copy(update={"steps": (*steps, *more)})


@pytest.mark.parametrize("undo", [f"{ONLY_BY_RESTORE}the table is gone", "nothing: gone"])
def test_a_proven_fault_that_only_a_restore_undoes_is_still_there(undo: str) -> None:
    view = changed(samples.recorded("killed"), undo)
    assert residue_state.meaning(view) == residue_state.NOT_AS_FOUND
    for text in (html.render(view), markdown.render(view)):
        assert residue_state.BY_LEASE not in plain(text)


def test_an_undo_by_an_action_perhaps_happened_before_the_controller_died() -> None:
    view = changed(samples.recorded("killed"), "pretend.mend {'thing': 'door'}")
    assert residue_state.meaning(view) == residue_state.NOT_KNOWN
    for text in (html.render(view), markdown.render(view)):
        assert residue_state.NOT_AS_FOUND not in plain(text)
        assert residue_state.BY_LEASE not in plain(text)


def test_no_lease_is_named_for_a_fault_that_perhaps_did_not_happen_or_was_perhaps_restored() -> None:
    assert residue_state.meaning(samples.recorded("killed")) == f"{residue_state.NOT_KNOWN} {residue_state.BY_LEASE}"
    assert residue_state.meaning(changed(samples.recorded("died"), ONLY_BY_RESTORE)) == residue_state.NOT_KNOWN
    begun = samples.step("restore.2", "pretend.mend", status="unknown")
    assert residue_state.meaning(changed(samples.recorded("killed"), ONLY_BY_RESTORE, begun)) == residue_state.NOT_KNOWN


@pytest.mark.parametrize(
    ("by_hand", "page", "text"),
    [
        (
            "on a, in this order:\necho `x`",
            '<pre class="command">on a, in this order:\necho `x`</pre>',
            "```text\non a, in this order:\necho `x`",
        ),
        (
            "on a, do it;\n`invoke actions x` describes it",
            "<code>invoke actions x</code> describes",
            "on a, do it; `invoke actions x` describes it",
        ),
    ],
)
def test_instructions_by_hand_show_no_backticks_but_those_of_a_command(by_hand: str, page: str, text: str) -> None:
    view = samples.recorded("stuck")
    left = tuple(one.model_copy(update={"by_hand": by_hand}) for one in view.result.residue)
    view = view.model_copy(update={"result": view.result.model_copy(update={"residue": left})})
    assert page in html.render(view)
    assert text in markdown.render(view)
