"""Actions that inspect a running system, on a real lab over SSH: their facts are true."""

from __future__ import annotations

from pathlib import Path

from drillbook.judge.result import Verdict

DRILL = """\
drill: looks
title: What the API and its database show of themselves
service: api
verify:
  - http.load: {service: api, path: "/api/v1/documents?limit=5", rate: 20, seconds: 2s, patience: 10s}
  - http.slowest: {service: api, last: 10m}
  - process.memory_profile: {service: api, seconds: 1s, samples: 4}
  - process.allocations: {service: api, path: /debug/allocations, seconds: 1s}
"""
SPYING = """\
  - process.stacks: {service: api}
  - process.profile: {service: api, seconds: 1s, rate: 20}
  - process.allocations: {service: api, by: memray, seconds: 1s}
"""


def may_look():
    """Return True when the kernel lets an ordinary user inspect processes of the same user that are not its children."""
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    return not scope.exists() or scope.read_text().strip() == "0"


def test_a_running_system_is_looked_at(bench):
    (bench.project.root / "drills" / "looks.yml").write_text(DRILL + (SPYING if may_look() else ""))
    folder, view = bench.run(bench.plan("looks"))
    assert view.result.verdict is Verdict.PASSED, [one.message for one in view.steps]
    load, slowest, memory, allocations, *spied = (step.facts for step in view.result.steps)
    assert (load["requests"], load["errors"]) == (40, 0)
    listed = {row["endpoint"]: row for row in slowest["endpoints"]}
    assert listed["GET /api/v1/documents"]["count"] >= 40
    assert memory["rss_bytes"] > 20_000_000
    assert (allocations["by"], allocations["seconds"] >= 1.0) == ("tracemalloc", True)
    assert all(one["pid"] == memory["pid"] for one in spied)
    for one, file in zip(spied, ("stacks", "flamegraph"), strict=False):
        assert (folder / one[file]["file"]).stat().st_size == one[file]["bytes"]
