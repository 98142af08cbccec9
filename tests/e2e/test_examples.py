"""Example drills of the actions, run on the lab; examples that other tests run are listed with the reason."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import pytest

from drillbook.judge.result import Verdict
from drillbook.sdk.web import ask
from tests.e2e.test_evidence import may_look
from tests.examples import FILES, TEAM
from tests.waiting import until

ELSEWHERE = {
    "ansible-restore": "tests/e2e/test_own_playbook.py",  # the playbook is a team's own
    "linux-capture": "tests/systems/linux/actions/network/test_network_drills.py",  # tcpdump needs rights that the lab's hosts lack
    "linux-filters": "tests/systems/linux/actions/network/test_network_drills.py",  # only root reads packet filters
    "linux-network-delay": "tests/systems/linux/actions/network/test_network_drills.py",  # refused where the kernel has no sch_netem
    "linux-network-drop": "tests/systems/linux/actions/network/test_network_drills.py",  # packet filters need root on the host
    "linux-network-reset": "tests/systems/linux/actions/network/test_network_drills.py",
    "mariadb-compare": "tests/systems/mariadb/test_drill.py",  # the lab's shop runs only during drills that start it
    "mariadb-lost": "tests/systems/mariadb/test_drill.py",  # and makes its data again at each start
    "qdrant-undo": "tests/e2e/test_vectors.py",  # the values are those of a run
    "redis-marked": "tests/e2e/test_own_backups_of_servers.py",  # the lab's dump is the file that the server overwrites
    "s3-undo": "tests/e2e/test_objects.py",  # the values are those of a run
}
"""Test file of each example that is run elsewhere, by the text of its own file (`tests.examples.replaced`)."""
HERE = sorted(name for name, path in FILES.items() if path.parts[-3] != "docker" and name not in ELSEWHERE)


def test_an_example_that_is_not_run_exists():
    assert ELSEWHERE.keys() <= FILES.keys()


def dump(bench, folder):
    """Database dump by the nightly job. Return its folder in the lab."""
    place = Path(str(bench.value("database.dumps")))
    place.mkdir(mode=0o700, exist_ok=True)
    (place / "dpa.dump").write_bytes(b"PGDMP")
    return place


def archive(bench, folder):
    """Archive of the site by the nightly job, with the digests of its files. Return its folder in the lab."""
    site, place = Path(str(bench.value("site.path"))), Path(str(bench.value("site.archives")))
    place.mkdir(mode=0o700, exist_ok=True)
    copy = folder / "site"
    shutil.copytree(site, copy)
    names = sorted(str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file())
    sums = subprocess.run(["sha256sum", "--", *names], cwd=copy, capture_output=True, check=True)
    (copy / "SHA256SUMS").write_bytes(sums.stdout)
    subprocess.run(["tar", "-czf", str(place / "site-20260101.tar.gz"), "-C", str(copy), "."], check=True)
    return place


def billing(bench, folder):
    """Billing program of the team: a flag file, a control script, and a recovery script."""
    (folder / "ctl").write_text(CTL.replace("DIR", str(folder)))
    (folder / "recover.sh").write_text(f"#!/bin/sh -e\necho ::stage start\n{folder}/ctl start\n")
    for name in ("ctl", "recover.sh"):
        (folder / name).chmod(0o755)


CTL = """#!/bin/sh
case $1 in
  start) rm -f DIR/stopped;;
  stop) touch DIR/stopped;;
  status) test ! -e DIR/stopped;;
  is-stopped) test -e DIR/stopped;;
esac
"""


def quiet(bench, folder):
    """Wait until Prometheus has forgotten the faults of earlier tests in the same lab."""

    def asked(path, **query):
        answer = ask(f"{bench.value('prometheus.url')}/api/v1/{path}?{urlencode(query)}", timeout=10)
        return json.loads(answer.body)["data"]

    def over():
        firing = any(alert["state"] == "firing" for alert in asked("alerts")["alerts"])
        return not firing and float(asked("query", query=FAILURES)["result"][0]["value"][1]) < LIMIT

    until(over, "an API without failures for a minute")


FAILURES, LIMIT = 'sum(rate(http_requests_total{status=~"5.."}[1m])) or vector(0)', 0.05
"""Query and limit of the example `prometheus-look`."""
BEFORE = {"backup-list": dump, "files-restored": archive, "command-runbook": billing, "prometheus-look": quiet}
"""Preparation of an example. It returns the folder that it made in the lab, which later tests must not find, or None."""


@pytest.mark.long(5)
@pytest.mark.parametrize("name", HERE)
def test_an_example_passes_on_the_lab(name, bench, tmp_path):
    if name == "linux-spy" and not may_look():
        pytest.skip("the kernel lets no ordinary user inspect other processes")
    if name == "prometheus-look" and bench.value("missing.monitoring"):
        pytest.skip("Prometheus is not installed")
    folder = tmp_path / "team"
    folder.mkdir()
    made = BEFORE.get(name, lambda *_: None)(bench, folder)
    lab = bench.project.root / "inventory" / "lab.yml"
    lab.write_text(lab.read_text().replace("\nservices:\n", f"\nservices:{TEAM}", 1).replace("/srv/billing", str(folder)))
    bench.inventory = bench.project.inventory("lab")
    path = bench.project.root / "drills" / f"{name}.yml"
    path.write_text(FILES[name].read_text().replace("/srv/billing", str(folder)))
    try:
        _, view = bench.run(bench.made(path))
    finally:
        if made:
            shutil.rmtree(made)
    assert view.result.verdict is Verdict.PASSED, (
        view.result.reason,
        [one.message for one in view.steps],
        view.result.findings,
    )
    assert view.result.residue == ()
