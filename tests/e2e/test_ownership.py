"""A service for which the inventory names the wrong one of two hosts: the drill is refused, and nothing changes."""

from __future__ import annotations

from pathlib import Path

from drillbook.judge.result import Verdict
from tests.e2e.test_restore_crashed import postmaster


def begins(inventory):
    """The lines of the service ``database``, and their position."""
    start = inventory.index("  database:\n")
    return inventory[start : inventory.index("\n  spare:", start)]


def test_the_wrong_one_of_two_hosts_loses_nothing(bench):
    """Both hosts are folders of one machine: the data directory exists, and the unit with that name belongs to
    another server.
    """
    path = bench.project.root / "inventory" / "lab.yml"
    text = path.read_text()
    lines = begins(text)
    assert "host: db-1" in lines
    path.with_name("wrong.yml").write_text(text.replace(lines, lines.replace("host: db-1", "host: db-2")))
    inventory, pid = bench.project.inventory("wrong"), postmaster(bench)
    _, view = bench.run(bench.plan("postgres-lost", inventory=inventory), inventory=inventory)
    assert (view.result.verdict, view.result.exit) == (Verdict.REFUSED, 4), view.result.reason
    assert "does not belong to the unit postgresql" in str(view.result.findings)
    assert postmaster(bench) == pid
    assert (Path(str(bench.value("data.db-1"))) / "PG_VERSION").exists()
    with bench.admin() as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone()[0] >= 20_000
