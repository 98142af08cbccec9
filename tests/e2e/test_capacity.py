"""capacity.collect on a real lab, run after run: the third report shows growth, and keeps it after the earlier runs
are removed.
"""

from __future__ import annotations

import os
import shutil

from drillbook.journal.run_state import RunState
from drillbook.judge.result import Verdict
from drillbook.project import finished_runs
from drillbook.report import html, markdown

DRILL = """\
drill: sizes
title: How large it is
service: database
verify:
  - capacity.collect: {service: database}
  - capacity.collect: {service: originals}
"""


def test_growth_is_told_from_the_third_run_on_and_lasts(bench):
    bench.spoiled = True
    (bench.project.root / "drills" / "sizes.yml").write_text(DRILL)
    plan = bench.plan("sizes")
    views = []
    with bench.admin() as session:
        for number in range(3):
            session.execute("CREATE TABLE IF NOT EXISTS public.padding (number int, content text)")
            session.execute("INSERT INTO public.padding SELECT n, repeat(md5(n::text), 40) FROM generate_series(1, 500) n")
            folder, view = bench.run(plan)
            assert view.result.verdict is Verdict.PASSED, view.result.reason
            views.append(view)
            database, originals = view.result.capacity
            assert (database.service, database.points, originals.unit) == ("database", number + 1, "objects")
        assert session.execute("SELECT count(*) FROM public.padding").fetchone()[0] == 1500
        session.execute("DROP TABLE public.padding")
    facts = views[0].result.steps[0].facts
    tables = {one["table"]: one for one in facts["tables"]}
    assert (tables["public.padding"]["rows"], tables["public.padding"]["exact"]) == (500, True)
    assert facts["bytes"] > sum(one["bytes"] for one in tables.values()) > 500 * 1200
    stat = os.statvfs(bench.value("data.db-1"))
    assert facts["filesystem_bytes"] == stat.f_blocks * stat.f_frsize
    assert "at least 3" in views[1].result.capacity[0].growth_reason
    database, originals = views[2].result.capacity
    assert database.growth_bytes_per_day > 0
    assert database.bytes > views[0].result.capacity[0].bytes
    assert originals.full.reason == "the free space is unknown"
    assert database.outgrows.reason == "the drill sets no RTO"
    before = ((folder / "report.html").read_text(), (folder / "report.md").read_text())
    assert "Capacity" in before[0]
    assert "## Capacity" in before[1]
    for other in bench.project.runs():
        if other != folder:
            shutil.rmtree(other)
    again = finished_runs.judged(RunState(folder))
    assert (html.render(again), markdown.render(again)) == before
