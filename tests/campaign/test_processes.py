"""Campaigns of real drills in real processes, and their state after some of these were killed."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from drillbook.campaign import place
from tests.attestation.forging import chained
from tests.program import Folder, fault, step


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "project").mkdir()
    return Folder(tmp_path / "project")


def with_sites(folder, count, head=""):
    """Sites file in which each site is this machine with a separate scratch folder, since locks are stored there."""
    lines = [
        f"  s{number}: {{inventory: lab, set: {{hosts: {{controller: {{scratch: {folder.root}/s{number}}}}}}}}}"
        for number in range(count)
    ]
    (folder.root / "all.yml").write_text("\n".join([head, "sites:", *lines]) + "\n")


def campaign_of(folder):
    return max((folder.root / "reports" / "campaigns").iterdir())


def events(folder):
    lines = (campaign_of(folder) / "record" / "journal.jsonl").read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]


def ends(folder):
    return {event["data"]["site"]: event["data"] for event in events(folder) if event["kind"] == "site.ended"}


def runs(folder):
    return [path.parent.name for path in (folder.root / "reports").glob("2*/journal.jsonl")]


def until(held, seconds=60):
    limit = time.monotonic() + seconds
    while not (found := held()):
        assert time.monotonic() < limit
        time.sleep(0.02)
    return found


def counting(folder, more=("true",)):
    """Drill that writes a line into the file `count`, then runs ``more``."""
    folder.write("ready:\n" + step(["sh", "-c", f"echo >> {folder.root}/count"]) + "restore:\n" + step(list(more)))


def count(folder):
    path = folder.root / "count"
    return len(path.read_text()) if path.exists() else 0


def begin(folder, sites, head="", running=1):
    """Start a campaign whose drills wait for the file `go`. Return its controller once ``running`` drills run."""
    counting(folder, ["sh", "-c", f"while [ ! -e {folder.root}/go ]; do sleep 0.05; done"])
    with_sites(folder, sites, head)
    process = folder.start("campaign", "sample", "--sites", "all.yml")
    until(lambda: count(folder) == running)
    return process


def kill(process):
    process.kill()
    process.wait()


def test_every_site_is_drilled_and_its_run_is_a_run_like_any_other(folder):
    counting(folder)
    with_sites(folder, 3)
    done = folder.run("campaign", "sample", "--sites", "all.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert count(folder) == 3
    assert "3 passed" in done.stdout
    found = ends(folder)
    assert {site: end["state"] for site, end in found.items()} == {"s0": "passed", "s1": "passed", "s2": "passed"}
    assert sorted(end["run"] for end in found.values()) == sorted(runs(folder))
    for end in found.values():
        last = (folder.root / "reports" / end["run"] / "journal.jsonl").read_text().strip().splitlines()[-1]
        assert json.loads(last)["hash"] == end["head"]
    result = json.loads((campaign_of(folder) / "result.json").read_text())
    assert (result["state"], result["exit"], result["sites"]["passed"]) == ("passed", 0, 3)
    assert {"report.html", "junit.xml"} <= {path.name for path in campaign_of(folder).iterdir()}
    assert folder.run("campaign", "--resume").returncode == 0
    assert count(folder) == 3
    verified = folder.run("report.verify", campaign_of(folder).name)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    path = campaign_of(folder) / "report.html"
    path.write_text(path.read_text() + "<!-- changed -->")
    assert folder.run("report.verify", campaign_of(folder).name).returncode == 1
    assert folder.run("report.verify", runs(folder)[0]).returncode != 1


def test_a_failed_canary_stops_the_campaign(folder):
    counting(folder, ["false"])
    with_sites(folder, 3)
    done = folder.run("campaign", "sample", "--sites", "all.yml")
    assert done.returncode == 1, done.stdout + done.stderr
    assert count(folder) == 1
    assert [end["state"] for end in ends(folder).values()] == ["failed", "refused", "refused"]
    assert "the canary site s0 ended as failed" in done.stdout


def test_a_mistake_in_the_inventory_of_one_site_is_found_before_the_first_one_starts(folder):
    counting(folder)
    with_sites(folder, 1)
    path = folder.root / "all.yml"
    path.write_text(path.read_text() + "  s1: {inventory: lab, set: {hosts: {controller: {prot: 1}}}}\n")
    done = folder.run("campaign", "sample", "--sites", "all.yml")
    assert done.returncode == 2
    assert "site s1" in done.stderr
    assert count(folder) == 0
    assert list((folder.root / "reports" / "campaigns").iterdir()) == []


def test_a_killed_controller_leaves_its_drills_running_and_resume_waits_for_them(folder):
    kill(begin(folder, 4, "canary: [s0, s1]\nat_most: 2\n", running=2))
    told = folder.run("drill.recover")
    name = campaign_of(folder).name
    assert (
        f"{name}: the ends of 2 sites are unknown; to continue: drillbook campaign --resume {name}"
        in told.stdout.splitlines()
    )
    second = folder.start("campaign", "--resume")
    until(lambda: any(event["kind"] == "campaign.resumed" for event in events(folder)))
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(4)
    assert ends(folder) == {}
    (folder.root / "go").touch()
    assert second.wait(60) == 0
    assert count(folder) == 4
    assert {end["state"] for end in ends(folder).values()} == {"passed"}
    assert len(runs(folder)) == 4


def test_a_resume_without_any_campaign_says_how_one_begins(folder):
    for name in ((), ("sample",)):
        done = folder.run("campaign", "--resume", *name)
        assert done.returncode == 2
        said = " ".join(done.stderr.split())
        assert f"there is no campaign in {folder.root}/reports/campaigns yet" in said
        assert "begin one: drillbook campaign NAME --sites FILE" in said
        assert "none" not in said


def copied(folder, name):
    """Copy of the project, as a backup or rsync makes it, with the same environment."""
    made = object.__new__(Folder)
    made.root, made.environment = folder.root.with_name(name), folder.environment
    shutil.copytree(folder.root, made.root, symlinks=True)
    return made


def without_places(path):
    """Rewrite the journal as a version that recorded no places wrote it."""
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        event["data"].pop("place", None)
    path.write_bytes(chained(events))


def test_a_copied_project_does_not_continue_a_campaign_whose_drills_still_run(folder):
    kill(begin(folder, 2))
    copy = copied(folder, "copy")
    done = copy.run("campaign", "--resume")
    assert done.returncode == 2, done.stdout + done.stderr
    told = " ".join(done.stderr.split())
    assert f":{folder.root}, but this project is " in told
    assert f":{copy.root}" in told
    assert not any(event["kind"] == "campaign.resumed" for event in events(copy))
    recovered = copy.run("drill.recover").stdout
    assert f":{folder.root}, but this project is at " in recovered
    assert "resume the campaign there; if this is impossible, begin a new campaign" in recovered
    assert "--resume" not in recovered, "the copy would be refused"
    (folder.root / "go").touch()
    assert folder.run("campaign", "--resume").returncode == 0
    assert count(folder) == 2
    own = place.here(folder.root).name
    assert events(folder)[0]["data"]["place"] == own
    assert {event["data"]["place"] for event in events(folder) if event["kind"] == "site.intended"} == {own}


def test_a_copied_project_does_not_continue_a_local_campaign_through_a_scheduler(folder):
    """The first project may be resumed, and its drills may still run."""
    kill(begin(folder, 2))
    copy = copied(folder, "copy")
    for on in ("local", "tcp://127.0.0.1:9"):
        done = copy.run("campaign", "--resume", "--on", on)
        assert done.returncode == 2, done.stdout + done.stderr
        told = " ".join(done.stderr.split())
        assert f":{folder.root}, but this project is at " in told
    assert not any(event["kind"] == "campaign.resumed" for event in events(copy))
    (folder.root / "go").touch()
    assert folder.run("campaign", "--resume").returncode == 0
    assert count(folder) == 2


def test_a_copy_does_not_continue_an_old_campaign_that_the_first_project_resumed(folder):
    """The journal began in a version that recorded no place. The first project was stopped again, and sites wait."""
    kill(begin(folder, 3))
    without_places(campaign_of(folder) / "record" / "journal.jsonl")
    with (folder.root / "output").open("wb") as output:
        process = folder.start("campaign", "--resume", stdout=output)
    until(lambda: b"3 sites, by" in (folder.root / "output").read_bytes())  # from here on, it stops at a signal
    process.send_signal(signal.SIGINT)
    (folder.root / "go").touch()
    assert process.wait(60) == 4
    assert [event["data"].get("place") for event in events(folder) if event["kind"] == "campaign.started"] == [None]
    for on in ((), ("--on", "local")):
        done = copied(folder, f"copy{len(on)}").run("campaign", "--resume", *on)
        assert done.returncode == 2, done.stdout + done.stderr
        assert f":{folder.root}, but this project is at " in " ".join(done.stderr.split())
    assert count(folder) == 1
    assert folder.run("campaign", "--resume").returncode == 0
    assert count(folder) == 3


def test_a_copied_project_does_not_drill_the_waiting_sites_of_a_stopped_campaign(folder):
    """All ends are known, but the first project may be continued as well."""
    process = begin(folder, 2)
    process.send_signal(signal.SIGINT)
    (folder.root / "go").touch()
    assert process.wait(60) == 4
    done = copied(folder, "copy").run("campaign", "--resume")
    assert done.returncode == 2, done.stdout + done.stderr
    assert count(folder) == 1
    assert folder.run("campaign", "--resume").returncode == 0
    assert count(folder) == 2


def test_a_killed_drill_is_recovered_and_not_repeated(folder):
    folder.write(
        "ready:\n"
        + step(["sh", "-c", f"echo >> {folder.root}/count"])
        + fault(
            ["touch", f"{folder.root}/broken"],
            ["rm", "-f", f"{folder.root}/broken"],
            ["test", "-e", f"{folder.root}/broken"],
        )
        + "restore:\n"
        + step(["sh", "-c", f"while [ ! -e {folder.root}/go ]; do sleep 0.05; done"])
    )
    with_sites(folder, 1)
    process = folder.start("campaign", "sample", "--sites", "all.yml")
    until((folder.root / "broken").exists)
    process.kill()
    process.wait()
    pid = int((campaign_of(folder) / "sites" / "s0.lock").read_text())
    os.kill(pid, signal.SIGKILL)
    done = folder.run("campaign", "--resume")
    (folder.root / "go").touch()  # end the command of the dead drill
    assert not (folder.root / "broken").exists()
    assert count(folder) == 1
    assert done.returncode != 0
    found = ends(folder)["s0"]
    assert found["state"] == "unknown", found
    assert "a recovery then undid its changes" in found["message"]


def test_a_second_controller_of_the_same_campaign_is_refused(folder):
    process = begin(folder, 1)
    done = folder.run("campaign", "--resume")
    assert done.returncode == 3
    assert "is being written by another process" in done.stderr
    (folder.root / "go").touch()
    assert process.wait(60) == 0


def write_long_fault(folder):
    """Write a drill whose fault lasts until the file ``go`` exists, or until the drill is stopped."""
    folder.write(
        fault(
            ["touch", f"{folder.root}/broken"],
            ["rm", "-f", f"{folder.root}/broken"],
            ["test", "-e", f"{folder.root}/broken"],
        )
        + "restore:\n"
        + step(["sh", "-c", f"while [ ! -e {folder.root}/go ]; do sleep 0.05; done"])
    )


def test_ctrl_c_twice_stops_the_running_drills_which_undo_their_changes(folder):
    write_long_fault(folder)
    with_sites(folder, 2)
    process = folder.start("campaign", "sample", "--sites", "all.yml")
    until((folder.root / "broken").exists)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 4
    assert not (folder.root / "broken").exists()
    assert [end["state"] for end in ends(folder).values()] == ["unknown"]
