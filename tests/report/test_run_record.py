"""Record of a run in its reports: its evidence files, and its owner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drillbook.report import html, markdown, run_record
from tests.report import samples
from tests.report.test_agreement import plain


def test_the_log_of_a_lease_is_an_evidence_file_of_a_run_without_other_evidence() -> None:
    lines = map(json.loads, (samples.JOURNALS / "recovered.jsonl").read_text().splitlines())
    (log,) = [line for line in lines if line["kind"] == "lease.log"]
    view = samples.recorded("recovered")
    assert log["data"]["file"] == "evidence/lease.a.log"
    for page in (html.render(view), markdown.render(view)):
        assert page.count(log["data"]["sha256"]) == 1
        assert "lease on a" in page


def test_the_owner_is_told_with_role_and_address() -> None:
    assert run_record.owner(samples.passed()) == "dba (DBA, dba@example.com)"
    assert run_record.owner(samples.passed().model_copy(update={"owner": ""})) == ""
    assert "The drill has no owner." in html.render(samples.passed().model_copy(update={"owner": ""}))


@pytest.mark.parametrize("name", samples.RECORDED)
def test_lines_that_a_dead_process_could_not_sign_are_told_in_both_formats(name: str) -> None:
    view = samples.recorded(name)
    kinds = [json.loads(line)["kind"] for line in complete(samples.JOURNALS / f"{name}.jsonl")]
    own = kinds.index("recovery.started") if "recovery.started" in kinds else len(kinds)
    told = run_record.unsigned(view)
    pages = [plain(render(view)).replace("`", "") for render in (html.render, markdown.render)]
    if "run.finished" in kinds[:own]:
        assert told == ""
        assert all("signed the last lines" not in page for page in pages)
        return
    assert told == (
        f"the controller of the run died before it signed the last lines that it wrote, up to line {own} of the journal. Nobody can "
        f"sign them later; `{view.program} report.verify {view.result.run}` names them. For a record that is signed as a whole, run "
        "the drill again."
    )
    assert all(told.replace("`", "") in page for page in pages)


def test_a_recovery_that_died_left_unsigned_lines_too() -> None:
    view = samples.recorded("recovered")
    dead = view.recoveries[0].model_copy(update={"finished": None})
    ended = view.model_copy(update={"finished": True, "recoveries": (dead, *view.recoveries)})
    assert run_record.unsigned(ended).startswith("a recovery died before it signed the lines that it wrote. Nobody can sign")
    both = run_record.unsigned(view.model_copy(update={"finished": False, "recoveries": (dead,)}))
    assert (
        " of the journal, and a recovery died before it signed the lines that it wrote. Nobody can sign them later; " in both
    )


def complete(path: Path) -> list[str]:
    """Lines of a journal, without a line that was cut off when the controller died."""
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
