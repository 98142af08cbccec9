"""The drill `rpo-compare`: five backup methods under the same traffic; the report shows the loss of each."""

from datetime import datetime, timedelta
from pathlib import Path

from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from tests.needs import need


def job(folder, view, name):
    """Times at which the step ``name`` began and ended, by the events of its run."""
    (step,) = (each.result.id for each in view.steps if each.name == name)
    times = {event.kind: datetime.fromisoformat(event.at) for event in read(folder / FILE).events if event.step == step}
    return times["step.started"], times["done"]


def test_the_methods_stand_side_by_side_with_their_measured_losses(bench):
    need("restic")
    folder, view = bench.run(bench.plan("rpo-compare"))
    assert view.result.verdict is Verdict.PASSED, (
        view.result.reason,
        [(one.title, one.wanted, one.measured) for one in view.result.findings],
    )
    facts = {step.id: step.facts for step in view.result.steps}
    log = view.result.objectives["rpo"].measured_s
    standby, dump, base, restic = (facts[f"verify.{number}"] for number in (2, 3, 4, 5))
    assert standby["loss_s"] < base["loss_s"]
    assert log < base["loss_s"] < dump["loss_s"], "the dump was begun before the copy"
    for one in (standby, dump, base):
        assert "canary" in one["basis"]
        assert one["error_s"] > 0
    assert restic["loss_s"] > base["loss_s"]
    begun, ended = job(folder, view, "The nightly job takes a dump")
    for one in (restic, dump):
        seen = datetime.fromisoformat(one["newest_moment"])
        assert begun - timedelta(seconds=one["error_s"]) <= seen <= ended, "both are of the same dump"
    assert "mtime" in restic["basis"]
    text = (folder / "report.md").read_text()
    section = text.partition("## What would be lost")[2].partition("\n## ")[0]
    rows = [line.split(" |")[0].lstrip("| ") for line in section.splitlines() if line.startswith("| ")]
    named = [row.split(" \\(")[0] for row in rows[1:] if "-" * 3 not in row]
    assert named[:3] == ["The drill's own restore", "A streaming standby", "A physical backup without its log"]
    assert sorted(named[3:]) == ["A dump", "A dump that restic saved"]
    assert 'id="losses"' in (folder / "report.html").read_text()
    assert not Path(bench.value("data.db-2")).exists(), "the copy on the spare is removed"
    assert not Path(bench.value("follower.path")).exists()
    assert not Path(bench.value("sandbox.database")).exists()
    assert not Path(bench.value("sandbox.site")).exists()
