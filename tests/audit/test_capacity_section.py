"""Capacity in an audit: the newest run that measured it, with the measurements of earlier runs."""

from __future__ import annotations

from drillbook.audit import content, html, markdown
from drillbook.judge import earlier_runs
from tests.audit.test_chain import audited
from tests.judge.story import ACKS, DRILL, SAMPLES

SIZED = DRILL.replace("verify:\n", "verify:\n  - capacity.collect: {service: backups}\n")
MIB = 1 << 20


def sized(book, day, size, **given):
    run = book.run(f"2026-01-{day:02d}T09:00:00", text=SIZED, **given)
    run.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])
    run.add(11.0, "phase.started", phase="restore").step(11.0, 12.0, "restore.1", "app-1", effect="write")
    run.add(12.0, "phase.ended", phase="restore", status="done").add(12.0, "phase.started", phase="verify")
    run.step(12.5, 13.0, "verify.1", "db-1", service="backups", bytes=size, items=4, unit="objects", free_bytes=None)
    run.step(13.0, 13.1, "verify.2", "controller").add(13.2, "phase.ended", phase="verify", status="done")
    points = earlier_runs.capacity([other.folder for other in book.runs[:-1]], run.plan)
    run.add(20.5, "capacity.history", points=points).end().close()
    return points


def test_growth_by_the_newest_run(book):
    assert [len(sized(book, day, (100 + 10 * day) * MIB)) for day in (1, 2, 4)] == [0, 1, 2]
    audit = audited(book)
    assert audit.whole
    assert [(row.environment, row.run, row.outlook.service, row.outlook.points) for row in audit.capacity] == [
        ("lab", book.runs[-1].id, "backups", 3)
    ]
    assert round(audit.capacity[0].outlook.growth_bytes_per_day) == 10 * MIB
    data = content.as_data(audit)["capacity"]
    assert (data[0]["service"], data[0]["points"]) == ("backups", 3)
    for page in (html.render(audit), markdown.render(audit)):
        assert "Capacity, by the newest run that measured it" in page
        assert "10.0 MiB ± 0 B a day" in page
    assert audited(book, until="2026-01-03").capacity[0].outlook.growth_bytes_per_day is None


def test_runs_elsewhere_and_damaged_ones_are_no_points(book):
    sized(book, 1, MIB)
    plan = book.runs[0].plan
    folders = [book.runs[0].folder]
    other = plan.model_copy(update={"inventory": plan.inventory.model_copy(update={"environment": "staging"})})
    assert (len(earlier_runs.capacity(folders, plan)), earlier_runs.capacity(folders, other)) == (1, [])
    path = book.runs[0].path
    path.write_bytes(path.read_bytes().replace(b'"items":4', b'"items":5'))
    assert earlier_runs.capacity([*folders, book.root / "nowhere"], plan) == []
