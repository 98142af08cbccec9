"""Handbook on the Docker lab: each failure is injected, diagnosed correctly, repaired and verified."""

import json
import shutil
import subprocess
import time

import pytest
import yaml

from drillbook.diagnosis.ranking import HEALTHY, UNKNOWN
from drillbook.lab.containers.engine import containers
from tests import tiers
from tests.program import PROGRAM
from tests.waiting import PATIENCE_S

ALONE = {"full-drill": "a whole rehearsal names no single cause"}
"""Drills without a diagnosis."""
WITHIN_S = 20


def run(site, *argv, timeout=120):
    return subprocess.run(
        [*PROGRAM, *argv],
        cwd=site.project.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def diagnosed(site, *argv):
    done = run(site, "diagnose", *argv, "--inventory", "docker", "--within", f"{WITHIN_S}s", "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def answered(site):
    """Diagnose until every check has an answer, since a busy machine gives some too late. Meanwhile nothing may be named."""
    end = time.monotonic() + PATIENCE_S
    while (known := diagnosed(site))[1]["why"]:
        status, lacking = known
        assert (status, lacking["found"], lacking["ranked"]) == (3, UNKNOWN, []), lacking
        assert time.monotonic() < end, f"after {PATIENCE_S:g} s there is still no answer to: {'; '.join(lacking['why'])}"
    return known


DRILLS = tiers.drawn(
    yaml.safe_load((tiers.ROOT / "drills" / "handbook.yml").read_text())["drills"], 3, "handbook on the Docker lab"
)
"""Drills that CI runs, others for each commit; `invoke test --all` runs the complete suite."""


@pytest.mark.long(150)
def test_every_drill_of_the_handbook_passes_and_its_cause_is_named(site):
    sample(site.project.root / "drills")
    done = run(site, "drill", "handbook", "--inventory", "docker", "--quiet", timeout=1500)
    folder = (site.project.root / "reports" / "latest").resolve()
    suite = json.loads((folder / "result.json").read_text())
    results = [json.loads((folder / one["run"] / "result.json").read_text()) for one in suite["runs"]]
    wrong = [
        (one["drill"], one["verdict"], one["reason"], [(f["title"], f["measured"]) for f in one["findings"]])
        for one in results
        if one["verdict"] != "passed" or one["residue"]
    ]
    assert not wrong, wrong
    assert (done.returncode, len(results)) == (0, len(DRILLS)), done.stdout + done.stderr
    named = {one["drill"]: one["diagnosis"] and one["diagnosis"]["found"] for one in results}
    assert named == {name: None if name in ALONE else name for name in named}
    causes = len(set(DRILLS) - set(ALONE))
    assert f"{causes} of {causes} diagnoses named the cause that was injected" in (folder / "report.md").read_text()
    assert 'class="confusion"' in (folder / "report.html").read_text()


def sample(drills):
    """Copy of the drills whose suite contains only the selected ones."""
    copied = shutil.copytree(drills, drills.parent / "copied")
    drills.unlink()
    copied.rename(drills)
    suite = drills / "handbook.yml"
    known = yaml.safe_load(suite.read_text())
    suite.write_text(yaml.safe_dump(known | {"drills": DRILLS}))


@pytest.mark.long(40)
def test_healthy_machines_are_healthy_and_paused_ones_hold_nobody(site):
    """Every container of the lab hangs; the diagnosis ends in time, and does not call a service healthy that it could
    not examine.
    """
    status, before = answered(site)
    assert (status, before["found"]) == (0, HEALTHY)
    paused = [one["Id"] for one in containers(site.lab.project).values()]
    subprocess.run(["docker", "pause", *paused], check=True, capture_output=True)
    try:
        status, hanging = diagnosed(site)
    finally:
        subprocess.run(["docker", "unpause", *paused], check=True, capture_output=True)
    assert (status, hanging["found"]) == (3, UNKNOWN), hanging
    asked = {(one["subject"], one["action"]): one["seconds"] for one in hanging["checks"]}
    assert hanging["seconds"] < sum(asked.values()), "one time for all that was asked, not one for each"
    assert HEALTHY not in json.dumps(hanging["ranked"])
