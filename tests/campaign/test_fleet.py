"""Campaigns on real Dask workers over TLS, and their state after a process was killed."""

import contextlib
import json
import os
import random
import signal
import socket
import time

import pytest

from drillbook.journal.journal import read
from tests import tiers
from tests.campaign import test_processes
from tests.campaign.cluster import Cluster
from tests.campaign.test_processes import campaign_of, counting, ends, events, with_sites
from tests.needs import library
from tests.program import Folder, fault, step

library("distributed")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "controller").mkdir()
    return Folder(tmp_path / "controller")


@pytest.fixture
def cluster(folder, tmp_path):
    made = Cluster(tmp_path, folder)
    yield made
    made.close()


@pytest.fixture
def start_controller(folder):
    """Function that starts campaigns, which end with the test."""
    started = []

    def start(*argv, **options):
        started.append(folder.start(*argv, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def until(held):
    return test_processes.until(held, 300)


def told(done):
    return done.stdout + done.stderr


def broken(folder, last):
    """Drill with a fault.

    Each run writes its name into the folder `ran`, and the file `broken` exists while the fault is active.
    """
    (folder.root / "ran").mkdir()
    place = f"{folder.root}/broken-{{{{ run.id }}}}"
    folder.write(
        "ready:\n"
        + step(["sh", "-c", f"echo >> {folder.root}/ran/{{{{ run.id }}}}"])
        + fault(["touch", place], ["rm", "-f", place], ["test", "-e", place])
        + "restore:\n"
        + step(["sh", "-c", last])
    )


def test_runs_of_all_regions_come_back_whole_and_secrets_stay_there(folder, cluster):
    folder.write("ready:\n" + step(["sh", "-c", 'test ${#FLEET_SECRET} = 11 && echo "$FLEET_SECRET"']))
    path = folder.root / "inventory" / "lab.yml"
    cache = "controller}, cache: {kind: redis, host: controller, address: 127.0.0.1, port: 1, password: !env FLEET_SECRET}}"
    path.write_text(path.read_text().replace("controller}}", cache))
    with_sites(folder, 4)
    sites = folder.root / "all.yml"
    text = sites.read_text().replace("{inventory: lab,", "{inventory: lab, groups: [north],", 2)
    sites.write_text(f"groups: {{north: {{workers: north}}, south: {{workers: south}}}}\n{text}")
    sites.write_text(sites.read_text().replace("  s2: {inventory: lab,", "  s2: {inventory: lab, groups: [south],"))
    north = cluster.worker("north", "--resources", "north=2", environment={"FLEET_SECRET": "open-sesame"})
    south = cluster.worker("south", "--resources", "south=2", environment={"FLEET_SECRET": "open-sesame"})
    cluster.start()
    done = folder.run("campaign", "sample", "--sites", "all.yml", "--on", cluster.address, timeout=300)
    assert done.returncode == 0, told(done)
    placed = {event["data"]["site"]: event["data"]["place"] for event in events(folder) if event["kind"] == "site.intended"}
    assert str(north) in placed["s0"]
    assert str(north) in placed["s1"]
    assert str(south) in placed["s2"]
    for site, end in ends(folder).items():
        here = folder.root / "reports" / end["run"]
        there = next(place / "reports" / end["run"] for place in (north, south) if str(place) in placed[site])
        assert read(here / "journal.jsonl").head == end["head"]
        names = sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file())
        assert names == sorted(str(path.relative_to(here)) for path in here.rglob("*") if path.is_file())
        assert all((here / name).read_bytes() == (there / name).read_bytes() for name in names)
        assert (here / "journal.jsonl").stat().st_mode & 0o077 == 0
    result = json.loads((campaign_of(folder) / "result.json").read_text())
    assert result["sites"]["passed"] == 4
    files = [path for path in (folder.root / "reports").rglob("*") if path.is_file()]
    assert [path for path in files if b"open-sesame" in path.read_bytes()] == []


def test_a_worker_with_another_plan_refuses_its_sites_before_anything_is_touched(folder, cluster):
    """One worker has a different drill, one a different inventory, one no inventory, and one the controller's own
    project.
    """
    counting(folder)
    labels = ("drill", "inventory", "none", "same")
    with_sites(folder, 4, "canary: [s3]\nabort_if: {failed: 100%}\n")
    path = folder.root / "all.yml"
    groups = "".join(f"  {label}: {{workers: {label}}}\n" for label in labels)
    text = path.read_text().replace("sites:", f"groups:\n{groups}sites:")
    for number, label in enumerate(labels):
        text = text.replace(f"s{number}: {{inventory: lab,", f"s{number}: {{inventory: lab, groups: [{label}],")
    path.write_text(text)
    places = {label: cluster.worker(label, "--resources", f"{label}=2") for label in labels}
    drill, inventory = places["drill"] / "drills" / "sample.yml", places["inventory"] / "inventory" / "lab.yml"
    drill.write_text(drill.read_text().replace("count", "c0unt"))
    inventory.write_text(inventory.read_text().replace("hosts: {", "hosts: {other: {address: 192.0.2.9}, "))
    (places["none"] / "inventory" / "lab.yml").unlink()
    cluster.start()
    done = folder.run("campaign", "sample", "--sites", "all.yml", "--on", cluster.address, timeout=300)
    found = ends(folder)
    assert {site: end["state"] for site, end in found.items()} == {
        "s0": "refused",
        "s1": "refused",
        "s2": "refused",
        "s3": "passed",
    }, told(done)
    planned = {site["name"]: site["plans"]["sample"] for site in events(folder)[0]["data"]["sites"]}
    for site in ("s0", "s1"):
        run = folder.root / "reports" / found[site]["run"]
        own = json.loads((run / "result.json").read_text())["plan_digest"]
        assert own != planned[site]
        message = found[site]["message"]
        assert planned[site] in message
        assert own in message
        assert "Bring the project on this machine" in message
        kinds = {event.kind for event in read(run / "journal.jsonl").events}
        assert not {"step.started", "lock.taken", "command"} & kinds
    assert "this project has no inventory" in found["s2"]["message"]
    assert len((folder.root / "count").read_text()) == 1
    assert not (folder.root / "c0unt").exists()


def test_a_site_waits_for_a_worker_with_its_label(folder, cluster, start_controller):
    counting(folder)
    with_sites(folder, 1, "groups: {north: {workers: north}}\n")
    path = folder.root / "all.yml"
    path.write_text(path.read_text().replace("{inventory: lab,", "{inventory: lab, groups: [north],"))
    cluster.worker("elsewhere")
    cluster.worker("north", "--resources", "north=1")
    cluster.start("scheduler", "elsewhere")
    process = start_controller("campaign", "sample", "--sites", "all.yml", "--on", cluster.address)
    until(
        lambda: (
            (folder.root / "reports" / "campaigns").exists()
            and any((folder.root / "reports" / "campaigns").glob("2*/record/*"))
        )
    )
    assert ends(folder) == {}
    cluster.start("north")
    assert process.wait(300) == 0


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("tcp://10.0.0.1:8786", "without TLS, everybody who can reach the scheduler can run programs"),
        ("tls://10.0.0.1:8786", "TLS to the scheduler needs a certificate"),
        ("http://10.0.0.1", "is not the address of a scheduler"),
    ],
)
def test_an_unsafe_scheduler_is_refused_before_a_connection(folder, address, text):
    counting(folder)
    with_sites(folder, 1)
    done = folder.run("campaign", "sample", "--sites", "all.yml", "--on", address)
    assert done.returncode == 2
    assert text in told(done)
    assert list((folder.root / "reports" / "campaigns").iterdir()) == []


def test_a_scheduler_that_listens_without_tls_on_every_interface_is_refused(folder, tmp_path):
    """This is what `dask scheduler` does without options, reached by an address that looks safe."""
    counting(folder)
    with_sites(folder, 1)
    cluster = Cluster(tmp_path, folder, tls=False, host="0.0.0.0")
    cluster.start()
    try:
        done = folder.run("campaign", "sample", "--sites", "all.yml", "--on", cluster.address, timeout=300)
    finally:
        cluster.close()
    assert done.returncode == 2
    said = " ".join(told(done).split())
    assert f"it listens on tcp://0.0.0.0:{cluster.port}" in said
    assert "without TLS, so everybody who can reach this address can run programs on its workers" in said
    assert "dask scheduler --host 127.0.0.1" in said
    assert list((folder.root / "reports" / "campaigns").iterdir()) == []


def test_a_scheduler_that_repeats_tasks_is_refused(folder, tmp_path):
    counting(folder)
    with_sites(folder, 1)
    cluster = Cluster(tmp_path, folder, tls=False, settings={"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "3"})
    cluster.start()
    try:
        done = folder.run("campaign", "sample", "--sites", "all.yml", "--on", cluster.address, timeout=300)
    finally:
        cluster.close()
    assert done.returncode == 2
    assert "up to 3 times" in told(done)


def test_a_cluster_on_this_machine_drills_every_site_once(folder):
    counting(folder)
    with_sites(folder, 3)
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # another process has taken it, which is fine, too
            held.enter_context(socket.create_server(("127.0.0.1", 8787)))
        done = folder.run("campaign", "sample", "--sites", "all.yml", "--on", "local", timeout=300)
    assert done.returncode == 0, told(done)
    assert len((folder.root / "count").read_text()) == 3
    assert {end["state"] for end in ends(folder).values()} == {"passed"}


def start_waiting(folder, cluster, start_controller):
    """Start a campaign on one worker.

    Return its controller as soon as the drill has injected its fault and waits for the file `go`.
    """
    broken(folder, f"while [ ! -e {folder.root}/go ]; do sleep 0.05; done")
    with_sites(folder, 1)
    cluster.worker("north")
    cluster.start()
    process = start_controller("campaign", "sample", "--sites", "all.yml", "--on", cluster.address)
    until(lambda: list(folder.root.glob("broken-*")))
    return process


def test_a_drill_outlives_its_worker_and_a_new_worker_finds_its_end(folder, cluster, start_controller):
    process = start_waiting(folder, cluster, start_controller)
    cluster.kill("north")
    cluster.start("north")
    (folder.root / "go").touch()
    assert process.wait(300) == 0
    assert [path.read_text() for path in (folder.root / "ran").iterdir()] == ["\n"]


def test_a_campaign_on_workers_is_not_resumed_without_them(folder, cluster, start_controller):
    process = start_waiting(folder, cluster, start_controller)
    process.kill()
    process.wait()
    done = folder.run("campaign", "--resume", timeout=300)
    assert done.returncode == 2
    assert "other machines started drills at some sites" in told(done)
    again = f"drillbook campaign --resume {campaign_of(folder).name} --on {cluster.address}"
    assert again in " ".join(told(done).split())
    recovered = told(folder.run("drill.recover"))
    assert f"to continue: {again}; other machines started drills: " in recovered
    assert f":{cluster.root}/north\n" in recovered
    (folder.root / "go").touch()
    assert folder.run("campaign", "--resume", "--on", cluster.address, timeout=300).returncode == 0


KILLS = 30 if tiers.ALL else 5


@pytest.mark.long(60)
def test_whoever_is_killed_no_site_is_drilled_twice_and_none_is_forgotten(folder, cluster, start_controller, tmp_path):
    dice = random.Random(f"{tiers.seed()}/fleet")
    count = 2 * KILLS
    broken(folder, "sleep 0.5")
    with_sites(folder, count, "at_most: 4\nabort_if: {failed: 100%, residue: false}\n")
    places = [cluster.worker("north"), cluster.worker("south")]
    cluster.start()
    first = ("campaign", "sample", "--sites", "all.yml", "--on", cluster.address)

    def start(*argv):
        with (tmp_path / "controller.log").open("ab") as log:
            return start_controller(*argv, stdout=log, stderr=log)

    process = start(*first)
    until(lambda: any((folder.root / "ran").iterdir()))
    killed = []
    for _ in range(KILLS):
        due = time.monotonic() + dice.uniform(0, 3)
        until(lambda due=due: time.monotonic() > due)
        who = dice.choice(["north", "south", "scheduler", "controller", "drill"])
        if who == "drill" and len(list((folder.root / "ran").iterdir())) < 2:
            who = "controller"  # the canary site: when its end is unknown, no other site begins
        killed.append(who)
        if who == "controller":
            process.kill()
            process.wait()
            process = start("campaign", "--resume", "--on", cluster.address)
        elif who == "drill":
            kill_a_drill(places, dice)
        else:
            cluster.kill(who)
        cluster.start()
    limit = time.monotonic() + 900
    while process.poll() is None or not finished(folder):
        assert time.monotonic() < limit, (killed, (tmp_path / "controller.log").read_text())
        cluster.start()
        if process.poll() is not None and not finished(folder):
            process = start("campaign", "--resume", "--on", cluster.address)
        time.sleep(0.1)
    said = (killed, (tmp_path / "controller.log").read_text())
    found = ends(folder)
    assert set(found) == {f"s{number}" for number in range(count)}, said
    assert [path.name for path in (folder.root / "ran").iterdir() if path.read_text() != "\n"] == [], said
    intents = [event["data"]["site"] for event in events(folder) if event["kind"] == "site.intended"]
    assert len(intents) == len(set(intents))
    assert list(folder.root.glob("broken-*")) == [], said
    unknown = [end for end in found.values() if end["state"] != "passed"]
    assert {end["state"] for end in unknown} <= {"unknown"} or killed.count("drill"), (said, unknown)
    assert len(unknown) <= killed.count("drill"), (said, unknown)
    for end in found.values():
        if end["run"]:
            assert read(folder.root / "reports" / end["run"] / "journal.jsonl").head == end["head"]
        else:  # this drill was killed before its run had a folder
            assert (end["state"], end["head"]) == ("unknown", ""), said
            assert "ended with status -9" in end["message"], said


def finished(folder):
    return (campaign_of(folder) / "result.json").exists()


def kill_a_drill(places, dice):
    """Kill the process of a drill, as the kernel does when memory runs out."""
    locks = [path for place in places for path in place.glob("reports/campaigns/*/sites/*.lock")]
    pids = [int(text) for path in locks if (text := path.read_text().strip())]
    if pids:
        with contextlib.suppress(ProcessLookupError):  # the process has ended in the meantime
            os.kill(dice.choice(pids), signal.SIGKILL)
