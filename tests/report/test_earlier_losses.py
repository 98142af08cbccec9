"""Losses of earlier runs stay in view after the drill's next run: which runs count, and what a run's files tell."""

from __future__ import annotations

import json

import pytest

from drillbook.journal.run_state import RunState
from drillbook.report import earlier_losses, index, recovery_steps
from drillbook.report.earlier_losses import Loss, superseded, told
from drillbook.report.formats import as_json
from drillbook.report.recovery_steps import Recovered
from drillbook.sdk.run_names import short
from tests.judge.test_later_steps import died, recovered
from tests.judge.test_shortfall import removed, restored
from tests.report import samples
from tests.report.test_agreement import plain

LOST = "at least 9 rows lost"
RUN = "20261201T160000.000Z-table-dropped-3f2a"


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ("", ""),
        ("P", ""),
        ("Pa", ""),
        ("PA", "A"),
        ("PaAP", "A"),
        ("PAAP", "AA"),
        ("PpA", ""),
        ("PL", "L"),
        ("LL", ""),
        ("LAL", "A"),
        ("PAL", "AL"),
        ("ALA", ""),
        ("aLA", "L"),
    ],
)
def test_runs_count_back_to_the_last_one_that_passed(runs, found):
    """Runs are newest first. P and p: passed; L: passed, and lost data; a: aborted; A: aborted, and lost data."""
    lost = superseded(runs, lambda run: run if run in "AL" else "", lambda run: run in "PpL")
    assert "".join(lost) == found


def test_the_phrase_claims_nothing_about_the_data_today():
    loss = Loss(RUN, "2026-12-01T16:00:00Z", LOST)
    assert (told([]), told([loss])) == ("", f"earlier run reported {LOST}")
    assert told([loss, loss, loss]) == f"3 earlier runs reported losses, the newest {LOST}"
    assert loss.name == "table-dropped-3f2a"


def folder_of(tmp_path, view, name=RUN):
    folder = tmp_path / "reports" / name
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(as_json(view.result.model_dump(mode="json", by_alias=True)), encoding="utf-8")
    return folder


def with_journal(folder, story):
    lines = [json.dumps(event.model_dump(mode="json"), separators=(",", ":")) for event in story.events]
    (folder / "journal.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def lossy(view):
    """``view`` in which 9 of the removed rows did not come back."""
    facts = {"inject.1": removed(119131)[1], "restore.1": restored(119122)[1]}
    steps = [step.model_copy(update={"facts": {**step.facts, **facts.get(step.id, {})}}) for step in view.result.steps]
    return view.model_copy(update={"result": view.result.model_copy(update={"steps": tuple(steps)})})


def test_a_loss_that_only_the_recovery_found_is_read_from_the_journal(tmp_path):
    story = died(tmp_path)
    view = recovered(story, 119122).judge()
    folder = folder_of(tmp_path, view)
    assert earlier_losses.of_state(RunState(folder)) == "", "the result alone tells no restore"
    with_journal(folder, story)
    assert earlier_losses.of_state(RunState(folder)) == LOST
    whole = recovered(died(tmp_path), 119131)
    other = with_journal(folder_of(tmp_path, whole.judge(), f"{RUN[:-4]}0001"), whole)
    assert earlier_losses.of_state(RunState(other)) == ""


def test_a_loss_of_a_run_that_ended_is_read_from_its_result(tmp_path):
    passed = samples.passed()
    assert earlier_losses.of_state(RunState(folder_of(tmp_path, lossy(passed)))) == LOST
    assert earlier_losses.of_state(RunState(folder_of(tmp_path, passed, f"{RUN[:-4]}0001"))) == "", "canaries do not count"
    broken = folder_of(tmp_path, lossy(passed), f"{RUN[:-4]}0002")
    (broken / "result.json").write_text('{"removed_data"', encoding="utf-8")
    for state in (RunState(broken), RunState(tmp_path / "nowhere")):
        assert earlier_losses.of_state(state) == ""


def test_the_index_names_the_loss_beside_the_newest_run(tmp_path):
    story = died(tmp_path)
    view = recovered(story, 119122).judge()
    lines = with_journal(folder_of(tmp_path, view), story).joinpath("journal.jsonl").read_bytes().splitlines()
    result = json.loads(as_json(view.result.model_dump(mode="json", by_alias=True)))
    known = {result["run"]: Recovered("2026-01-01T00:00:11Z", recovery_steps.of_lines(lines))}
    first = index.entry(result, recoveries=known)
    later = {**result, "run": "r2", "started": "2026-01-02T00:00:00Z", "verdict": "passed", "reason": "", "steps": []}
    page = index.render([first, index.entry(later)])
    table = page.partition('id="trends"')[2].partition("</table>")[0]
    assert first.short_name == short(result["run"])
    assert f"! earlier run reported {LOST}: {first.short_name}" in " ".join(plain(table).split())
    assert f'<a href="{first.href}"' in table.partition("! earlier run")[2]
    third = index.entry({**later, "run": "r3", "started": "2026-01-03T00:00:00Z"})
    assert "earlier run" not in index.render([first, index.entry(later), third])


@pytest.mark.parametrize(("verdict", "rpo", "times"), [("passed", True, 0), ("passed", False, 1), ("aborted", True, 0)])
def test_the_index_names_the_loss_of_the_run_itself_beside_its_verdict(verdict, rpo, times):
    """Unless it stands before the RPO in the same row, which names it once."""
    result = json.loads(as_json(lossy(samples.passed()).result.model_dump(mode="json", by_alias=True)))
    result |= {"verdict": verdict} | ({} if rpo else {"objectives": {}})
    page = index.render([index.entry(result)])
    for name in ("trends", "table-runs"):
        table = plain(page.partition(f'id="{name}"')[2].partition("</table>")[0])
        assert table.count(f"! {LOST}") == times
        assert table.count(LOST) == 1
