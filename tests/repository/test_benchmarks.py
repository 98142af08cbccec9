"""Pages with measurements: generated from the results next to them, which match the current corpus and the limits."""

import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from bench import campaign_page, records
from bench.detection import page as detection
from bench.detection import tools
from bench.detection.tools import CATEGORIES
from bench.drill import page as speed
from bench.drill.measuring import measure as rounds_of
from bench.drill.ways import WAYS
from bench.drill.work import ALL, Work
from bench.overhead import page as overhead
from bench.overhead.measuring import measure as pairs_of
from bench.overhead.methods import METHODS
from bench.transfers import page as transfers
from bench.transfers.measuring import measure as backups_of
from bench.transfers.methods import METHODS as TRANSFERS

from tests import artefacts
from tests.needs import library, need

SIZE_MB, PAIRS, RATIO, PEAK_MB = 2000, 5, 1.05, 150
"""Size of the data, smallest number of pairs, largest ratio of their restores, and largest peak of the controller."""
TRANSFER_MB, TRANSFER_RATIOS = 1000, {"postgres.dump": 1.1, "files.archive": 1.2}
"""Size of the data, and the largest ratio of each step to the plain pipeline."""
SPEED_ROUNDS = 5
SPEED_RATIOS = {
    "20x20-read": 0.8,
    "20x100-read": 0.5,
    "20x20-read-20ms": 0.8,
    "20x20-write": 1.2,
    "20x20-fault": 1.2,
    "500x3-read": 1.0,
}
"""Largest ratio of a whole drill to multiplexed ssh."""
HUGE = ("500x1-fault", "500x1-recovery")
"""Works that must come to an end, however long they take."""
CAMPAIGN_ROUNDS, CAMPAIGN_MS, CAMPAIGN_MB, CAMPAIGN_GROWTH = 3, 50, 500, 1.5
"""Smallest number of measurements; largest CPU time and duration a site, and largest peak of the controller, for 500 sites;
largest ratio of the CPU time a site for 10,000 sites to that for 500."""
HUNDRED_S, FLEET_MB = 8.0, 300
"""Most seconds above ssh of a fault on 100 hosts, and largest peak of a drill on 500."""
READ_S = 2.0
"""Most seconds of the report, and of the verification, of a run of 10,000 steps."""
DOCS = Path(__file__).parents[2] / "docs"
DETECTED = json.loads((DOCS / "detection.json").read_text())
MEASURED = json.loads((DOCS / "measurements" / "overhead.json").read_text())
SPEED = json.loads((DOCS / "speed.json").read_text())
CAMPAIGNS = json.loads((DOCS / "measurements" / "campaigns.json").read_text())
TRANSFERRED = json.loads((DOCS / "measurements" / "transfers.json").read_text())


def test_the_page_of_the_corpus_is_made_from_its_results():
    assert (DOCS / "detection.md").read_text() == detection.rendered(DETECTED), (
        "run `invoke bench.detection --options=--write`"
    )


def test_the_results_are_of_the_corpus_as_it_is():
    rows = [(row["driver"], row["name"], row["damage"], tuple(row["wanted"])) for row in DETECTED["artefacts"]]
    wanted = [
        (corpus.driver, one.name, one.damage, one.findings) for corpus in artefacts.corpora() for one in corpus.artefacts
    ]
    assert Counter(rows) == Counter(wanted)


def test_drillbook_gives_exactly_the_findings_of_each_artefact():
    assert [row["name"] for row in DETECTED["artefacts"] if not row["exact"]] == []


def test_a_tool_that_never_ends_is_noticed_and_its_processes_are_killed(monkeypatch, tmp_path):
    """`pg_restore` hangs on a truncated tar, behind the shell that decompresses the file for it."""
    monkeypatch.setattr(tools, "SECONDS", 0.5)
    assert tools.fails("sh", "-c", 'sh -c \'echo $$ > "$1"; while :; do :; done\' sh "$1" | cat', "sh", tmp_path / "pid")
    pid = int((tmp_path / "pid").read_text())
    assert until(lambda: ended(pid)), "the loop behind the shell still runs"


def ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_each_tool_stands_in_a_column():
    asked = {name for row in DETECTED["artefacts"] for name in row["tools"]}
    assert tuple(detection.CATEGORIES) == CATEGORIES
    named = [name for names in detection.CATEGORIES.values() for name in names]
    assert asked - set(named) <= {"restic check --read-data"}


def test_the_page_of_the_overhead_is_made_from_its_results():
    assert (DOCS / "measurements" / "overhead.md").read_text() == overhead.rendered(MEASURED)


def test_the_overhead_is_within_its_limits_or_the_page_says_that_it_is_unknown():
    if not MEASURED["methods"]:
        assert "Not measured yet for this version" in (DOCS / "measurements" / "overhead.md").read_text()
        return
    assert MEASURED["size_mb"] == SIZE_MB
    assert [pairs["method"] for pairs in MEASURED["methods"]] == [method.name for method in METHODS]
    for pairs in MEASURED["methods"]:
        assert len(pairs["bare"]) == len(pairs["restore"]) >= PAIRS
        assert pairs["ratio"] <= RATIO, pairs["method"]
        assert max(pairs["peak_kib"]) < PEAK_MB * 1024, pairs["method"]


def test_the_page_of_the_speed_is_made_from_its_results():
    assert (DOCS / "speed.md").read_text() == speed.rendered(SPEED)


def test_the_speed_is_within_its_limits():
    works = {work["name"]: work for work in SPEED["work"]}
    rows = {name: {row["tool"]: row for row in work["rows"]} for name, work in works.items()}
    assert set(works) >= {*SPEED_RATIOS, *HUGE, "100x1-fault"}
    assert all(work["rounds"] >= SPEED_ROUNDS for work in works.values())
    for name, limit in SPEED_RATIOS.items():
        assert rows[name]["drillbook"]["ratio"] <= limit, name
    assert {"ssh", "drillbook", "fabric", "pyinfra", "ansible"} == set(rows["20x20-read"])
    hundred = rows["100x1-fault"]
    assert hundred["drillbook"]["wall_s"] - hundred["ssh"]["wall_s"] <= HUNDRED_S
    assert rows["500x3-read"]["drillbook"]["peak_mb"] < FLEET_MB


def test_the_page_of_the_speed_says_which_tools_are_left_out_of_each_work_and_why():
    page = (DOCS / "speed.md").read_text()
    assert {work["name"] for work in SPEED["work"]} <= {work.name for work in ALL}
    for work in SPEED["work"]:
        section = page.partition(f"## {work['title']}\n")[2].partition("\n## ")[0]
        told = "\n".join(line for line in section.splitlines() if line.startswith("- Left out: "))
        missing = WAYS.keys() - {row["tool"] for row in work["rows"]}
        assert [name for name in WAYS if name in told] == [name for name in WAYS if name in missing], work["name"]
        assert "not installed" not in told, work["name"]
    assert "- Left out: fabric, pyinfra (measured with at most 2,000 commands in all)." in page
    assert "- Left out: ansible, fabric, pyinfra (measured with at most 100 hosts)." in page


def test_the_page_of_the_speed_says_which_time_is_the_faults_own():
    page = (DOCS / "speed.md").read_text()
    assert "*The fault's own time* is that of *ssh* in the same rounds" in page
    (hundred,) = (work for work in SPEED["work"] if work["name"] == "100x1-fault")
    wall = {row["tool"]: row["wall_s"] for row in hundred["rows"]}
    said = f"The drill takes {wall['drillbook'] - wall['ssh']:.2f} s more than the fault's own time"
    assert f"{said}, which is that of *ssh*; the limit is {HUNDRED_S:.0f} s." in page


def test_reports_of_large_records_are_within_their_limits():
    records = {work["name"]: work for work in SPEED["records"]}
    assert set(records) == {"steps", "runs"}
    assert records["steps"]["title"] == "One run of 10,000 steps"
    assert all(work["rounds"] >= SPEED_ROUNDS for work in records.values())
    steps = {row["tool"]: row for row in records["steps"]["rows"]}
    for name in ("report", "report.verify"):
        assert steps[name]["wall_s"] <= READ_S, name


def test_the_page_of_campaigns_is_made_from_its_results():
    assert (DOCS / "measurements" / "campaigns.md").read_text() == campaign_page.rendered(CAMPAIGNS)
    assert "ms a site" not in (DOCS / "campaigns.md").read_text(), "figures stand on the generated page alone"


def test_the_cost_of_a_campaign_is_within_its_limits():
    if not CAMPAIGNS["rows"]:
        assert "Not measured yet for this version" in (DOCS / "measurements" / "campaigns.md").read_text()
        return
    rows = {(row["executor"], row["sites"]): row for row in CAMPAIGNS["rows"]}
    few = {name for name, sites in rows if sites == campaign_page.SITES}
    simulations = {"simulation", "simulation, each site with another window"}
    assert few == {*simulations, "planning", "Dask on this machine, TLS"}
    for name in few:
        row = rows[name, campaign_page.SITES]
        assert row["rounds"] >= CAMPAIGN_ROUNDS, name
        assert row["cpu_ms"] <= CAMPAIGN_MS, name
        assert row["wall_ms"] <= CAMPAIGN_MS, name
        assert row["peak_mb"] < CAMPAIGN_MB, name
    for name in simulations:
        assert rows[name, 10_000]["cpu_ms"] <= rows[name, campaign_page.SITES]["cpu_ms"] * CAMPAIGN_GROWTH, name
    assert (campaign_page.LIMIT_MS, campaign_page.LIMIT_MB, campaign_page.GROWTH) == (
        CAMPAIGN_MS,
        CAMPAIGN_MB,
        CAMPAIGN_GROWTH,
    )


def test_the_page_of_the_transfers_is_made_from_its_results():
    assert (DOCS / "measurements" / "transfers.md").read_text() == transfers.rendered(TRANSFERRED)


def test_the_transfers_are_within_their_limits_or_the_page_says_that_they_are_unknown():
    if not TRANSFERRED["methods"]:
        assert "Not measured yet for this version" in (DOCS / "measurements" / "transfers.md").read_text()
        return
    assert TRANSFERRED["size_mb"] == TRANSFER_MB
    assert {pairs["method"] for pairs in TRANSFERRED["methods"]} == TRANSFER_RATIOS.keys()
    for pairs in TRANSFERRED["methods"]:
        assert len(pairs["bare"]) == len(pairs["step"]) >= PAIRS
        assert pairs["step_ratio"] <= TRANSFER_RATIOS[pairs["method"]], pairs["method"]


@pytest.mark.nightly
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_of_the_overhead_can_be_measured(tmp_path, method):
    for program in ("pgbackrest", "restic", "mariadb-backup", "pg_restore", "zstd"):
        need(program)
    pairs = pairs_of(method, tmp_path, megabytes=8, count=1, stop=time.monotonic() + 600)
    assert len(pairs.bare) == len(pairs.restore) == 1


@pytest.mark.nightly
@pytest.mark.parametrize("method", TRANSFERS, ids=lambda method: method.name)
def test_every_backup_of_the_transfers_can_be_measured(method):
    library("asyncssh")
    need("zstd")
    with tempfile.TemporaryDirectory(prefix="drillbook-transfers-", dir="/var/tmp") as folder:
        pairs = backups_of(method, Path(folder), megabytes=8, count=1, stop=time.monotonic() + 600)
    assert len(pairs.bare) == len(pairs.step) == 1
    assert f"| {method.name} |" in transfers.line(pairs.as_json())


@pytest.mark.nightly
@pytest.mark.parametrize("effect", ["read", "write", "fault", "recovery"])
def test_whole_drills_can_be_measured_beside_ssh(tmp_path, effect):
    found = rounds_of(Work(2, 2, effect), tmp_path, 1, ["ssh", "drillbook"])
    assert set(found) == {"ssh", "drillbook"}


@pytest.mark.nightly
@pytest.mark.parametrize(("make", "count"), [(records.steps, 40), (records.runs, 3)])
def test_readers_of_records_can_be_measured(tmp_path, make, count):
    found = records.measure(make(tmp_path, count), 1)
    assert set(found) == {"python", *records.TASKS}
