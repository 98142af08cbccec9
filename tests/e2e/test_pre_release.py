"""The suite before a release: the newest backup is proven on the spare, and production does not change."""

import json
from pathlib import Path

import pytest

from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from drillbook.lab import control
from tests.e2e.test_interrupts import SLOW, start, wait_for

PRODUCTION = {"database", "api", "cache", "backups", "originals"}


def prefixed(bench, prefix, *changes):
    """The drill with a separate folder of backups, because other tests leave damaged ones in the store."""
    text = bench.text("restore-newest").replace("store: backups", f"store: backups, prefix: {prefix}/")
    text = text.replace("/{{ run.id }}/dpa", f"/{prefix}/{{{{ run.id }}}}/dpa")
    (bench.project.root / "drills" / "restore-newest.yml").write_text(text)
    return bench.plan("restore-newest", *changes)


def nothing_left(bench):
    assert not Path(bench.value("data.db-2")).exists() or not any(Path(bench.value("data.db-2")).iterdir())
    states = {(one.host, one.name): one.up for one in control.status(bench.lab).components}
    assert not states["db-2", "postgresql"]
    assert not states["db-2", "spare-api"]
    assert not list((bench.lab / "db-2" / "tmp").glob("drillbook/runs/*"))


def test_the_newest_backup_is_restored_served_and_removed(bench):
    plan = prefixed(bench, "pre-release")
    folder, view = bench.run(plan)
    result = view.result
    assert result.verdict is Verdict.PASSED, (result.reason, [one.measured for one in result.findings])
    facts = {step.id: step.facts for step in result.steps}
    assert facts["backup.1"]["found"] is False
    assert (facts["backup.3"]["count"], facts["backup.3"]["taken_by"]) == (1, "restore-newest")
    assert facts["backup.3"]["routine"] is False
    assert [one["status"] for one in facts["verify.3"]["requests"]] == [200, 200, 202, 200]
    events = read(folder / FILE).events
    written = {event.data["params"].get("service") for event in events if event.kind == "intent"}
    assert written == {"database", "spare", "spare_api"}
    dumps = [event for event in events if event.kind == "intent" and event.data["params"]["service"] in PRODUCTION]
    assert [event.data["action"] for event in dumps] == ["postgres.dump"], "a dump reads production and writes to the store"
    assert {event.step for event in events if event.kind == "undone"} == {"backup.2", "restore.1", "verify.2"}
    with bench.admin() as session:
        smoke = session.execute("SELECT count(*) FROM documents WHERE title LIKE 'Smoke test%'").fetchone()
        assert smoke == (0,), "what the smoke test wrote never came to production"
    nothing_left(bench)

    folder, view = bench.run(plan)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert {step.id: step.status for step in view.result.steps}["backup.2"] == "skipped", "there is one now"
    actions = [event.data["action"] for event in read(folder / FILE).events if event.kind == "intent"]
    assert actions == ["postgres.restore", "http.serve"]
    nothing_left(bench)


def test_a_backup_that_is_too_old_fails(bench):
    routine = "prefix: too-old/, taken_by: [restore-newest], max_age: 1ms}"
    _, view = bench.run(prefixed(bench, "too-old", ("prefix: too-old/}", routine)))
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 1)
    assert "backup-too-old" in {one.code for one in view.result.findings}
    nothing_left(bench)


def test_a_spare_that_is_in_use_is_not_touched(bench):
    data = Path(bench.value("data.db-2"))
    data.mkdir()
    (data / "precious").write_text("somebody's")
    try:
        _, view = bench.run(prefixed(bench, "in-use"))
        assert (view.result.verdict, view.result.exit) == (Verdict.REFUSED, 4)
        assert (data / "precious").read_text() == "somebody's"
    finally:
        (data / "precious").unlink()
        data.rmdir()


@pytest.mark.parametrize("before", ["  - http.flow:"])
def test_a_killed_run_is_removed_from_its_journal(bench, before):
    prefixed(bench, "killed")
    path = bench.project.root / "drills" / "restore-newest.yml"
    path.write_text(path.read_text().replace(before, SLOW + before, 1))
    process = start(bench, "restore-newest")
    folder = wait_for(bench, process, "step.started", "verify.3")
    process.kill()
    process.communicate()
    assert Path(bench.value("data.db-2")).exists()
    assert bench.recover(folder) == []
    nothing_left(bench)
    assert json.loads((folder / FILE).read_text().splitlines()[-1])["kind"] == "recovery.finished"
