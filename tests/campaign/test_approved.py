"""Campaigns on protected sites, with one approval that lists the plans of all sites."""

import hashlib
import json
import re
import signal
import subprocess

import pytest

from tests.campaign.cluster import Cluster
from tests.campaign.test_processes import campaign_of, count, counting, ends, events, until, with_sites
from tests.needs import library, need
from tests.program import Folder

REFUSED = 4


@pytest.fixture
def folder(tmp_path):
    need("ssh-keygen")
    (tmp_path / "controller").mkdir()
    made = Folder(tmp_path / "controller")
    key = tmp_path / "alice"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f", key], check=True)
    kind, public = key.with_suffix(".pub").read_text().split()[:2]
    (made.root / "inventory" / "approvers").write_text(
        f'alice@example.com namespaces="drillbook-approval" {kind} {public}\n'
    )
    path = made.root / "inventory" / "lab.yml"
    path.write_text(path.read_text() + "protected: yes\napprovers: approvers\n")
    counting(made)
    return made


def approve(folder):
    key = str(folder.root.parent / "alice")
    done = folder.run("campaign.approve", "sample", "--sites", "all.yml", "--key", key)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expire(folder):
    """Replace the approval, in the project and the campaign, by one that was signed two days ago for one day."""
    for path in (*(folder.root / "approvals").glob("*.json"), campaign_of(folder) / "approval.json"):
        text = path.read_text()
        made, ended = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2))
        text = re.sub(r'"made": "[^"]*"', f'"made": "{made}"', re.sub(r'"until": "[^"]*"', f'"until": "{ended}"', text))
        path.write_text(text)
        path.with_name(f"{path.name}.sig").unlink()
        key = folder.root.parent / "alice"
        subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "drillbook-approval", "-f", key, path], check=True)


def intended(folder):
    return [event["data"]["site"] for event in events(folder) if event["kind"] == "site.intended"]


def stopped_after_the_first(folder, how, more=""):
    """Campaign on three sites whose controller ended during the drill on the first site."""
    counting(folder, ["sh", "-c", f"while [ ! -e {folder.root}/go ]; do sleep 0.05; done"])
    with_sites(folder, 3, more)
    approve(folder)
    process = folder.start("campaign", "sample", "--sites", "all.yml", "--confirm", "lab")
    until(lambda: count(folder) == 1)
    process.send_signal(how)
    if how == signal.SIGKILL:
        process.wait()
    (folder.root / "go").touch()
    assert process.wait(60) == (REFUSED if how == signal.SIGINT else -how)
    assert intended(folder) == ["s0"]
    expire(folder)


def drill(folder, *more, **options):
    done = folder.run("campaign", "sample", "--sites", "all.yml", "--confirm", "lab", *more, **options)
    return done, {site: (end["state"], end["message"]) for site, end in ends(folder).items()}


def states(found):
    return {site: state for site, (state, _) in found.items()}


def test_one_approval_lets_every_site_run_and_each_run_names_its_line(folder):
    with_sites(folder, 3)
    done, found = drill(folder)
    assert states(found) == {"s0": "refused", "s1": "refused", "s2": "refused"}, done.stdout
    assert "Nobody has approved this plan" in found["s0"][1]
    said = approve(folder)
    assert "alice@example.com approves sample on 3 sites" in said
    done, found = drill(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert count(folder) == 3
    planned = {site["name"]: site["plans"]["sample"] for site in events(folder)[0]["data"]["sites"]}
    for site, end in ends(folder).items():
        first = (folder.root / "reports" / end["run"] / "journal.jsonl").read_text().partition("\n")[0]
        approval = json.loads(first)["data"]["approval"]
        assert (approval["site"], approval["plan_digest"], approval["sites"]) == (site, planned[site], 3)
        assert planned[site] in said
    assert json.loads((campaign_of(folder) / "attestation.json").read_text())["files"]["approval.json"]


def test_a_site_without_a_line_or_with_another_plan_is_refused_and_the_others_go_on(folder):
    with_sites(folder, 3)
    approve(folder)
    with_sites(folder, 4)
    path = folder.root / "all.yml"
    path.write_text(path.read_text().replace("/s1}", "/changed}"))
    done, found = drill(folder)
    assert states(found) == {"s0": "passed", "s1": "refused", "s2": "passed", "s3": "refused"}, done.stdout
    assert count(folder) == 2
    assert "The plan was changed after it was approved" in found["s1"][1]
    assert "does not list the site s3" in found["s3"][1]


def test_a_tampered_line_refuses_every_site(folder):
    with_sites(folder, 2, "canary: [s0, s1]\n")
    approve(folder)
    (path,) = (folder.root / "approvals").glob("sample.sites.*.json")
    text = path.read_text()
    path.write_text(text.replace('"s1": {', '"s1":  {'))
    assert path.read_text() != text
    _, found = drill(folder)
    assert states(found) == {"s0": "refused", "s1": "refused"}
    assert "does not match its text" in found["s0"][1] + found["s1"][1]
    assert count(folder) == 0


def test_the_approval_reaches_the_workers_which_verify_it_with_their_own_file_of_approvers(folder, tmp_path):
    library("distributed")
    cluster = Cluster(tmp_path, folder)
    try:
        with_sites(folder, 2, "canary: [s0]\ngroups: {n: {workers: n}, s: {workers: s}}\n")
        path = folder.root / "all.yml"
        text = path.read_text().replace("s0: {", "s0: {groups: [n], ").replace("s1: {", "s1: {groups: [s], ")
        path.write_text(text)
        approve(folder)
        cluster.worker("north", "--resources", "n=1")
        south = cluster.worker("south", "--resources", "s=1")
        (south / "inventory" / "approvers").write_text("# nobody\n")
        cluster.start()
        done, found = drill(folder, "--on", cluster.address, timeout=300)
    finally:
        cluster.close()
    assert states(found) == {"s0": "passed", "s1": "refused"}, done.stdout + done.stderr
    assert "not signed by a permitted approver" in found["s1"][1]
    assert count(folder) == 1


def test_an_expired_approval_refuses_the_rest_of_a_campaign_until_it_is_renewed(folder):
    stopped_after_the_first(folder, signal.SIGINT)
    before, old = len(events(folder)), (campaign_of(folder) / "approval.json").read_bytes()
    done = folder.run("campaign", "--resume")
    assert done.returncode == REFUSED, done.stdout + done.stderr
    said = " ".join(done.stderr.split())
    assert "alice@example.com approved only until 2026-01-02" in said
    assert "2 remaining sites of the campaign need another approval: s1, s2" in said
    assert f"campaign --resume {campaign_of(folder).name}" in said
    assert (count(folder), len(events(folder))) == (1, before), "nothing is recorded, and no site begins"
    approve(folder)
    done = folder.run("campaign", "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert count(folder) == 3
    assert {end["state"] for end in ends(folder).values()} == {"passed"}
    (resumed,) = (event["data"] for event in events(folder) if event["kind"] == "campaign.resumed")
    renewed = (campaign_of(folder) / "approval.json").read_bytes()
    assert resumed["approval"] == "sha256:" + hashlib.sha256(renewed).hexdigest()
    first = (folder.root / "reports" / ends(folder)["s2"]["run"] / "journal.jsonl").read_text().partition("\n")[0]
    assert json.loads(first)["data"]["approval"]["text"] == resumed["approval"]
    kept = campaign_of(folder) / f"approval-{hashlib.sha256(old).hexdigest()[:8]}.json"
    assert kept.read_bytes() == old
    verified = folder.run("report.verify", campaign_of(folder).name).stdout
    assert "files as attested" in verified, verified
    assert "WRONG" not in verified


def test_the_renewed_approval_may_list_the_rest_alone(folder):
    stopped_after_the_first(folder, signal.SIGINT)
    whole = (folder.root / "all.yml").read_text()
    (folder.root / "all.yml").write_text("".join(line for line in whole.splitlines(True) if "s0:" not in line))
    approve(folder)
    done = folder.run("campaign", "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert count(folder) == 3


def test_sites_with_an_unknown_end_are_examined_although_the_approval_of_the_rest_has_expired(folder):
    stopped_after_the_first(folder, signal.SIGKILL)
    done = folder.run("campaign", "--resume")
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert "need another approval: s1, s2" in " ".join(done.stderr.split())
    assert {site: end["state"] for site, end in ends(folder).items()} == {"s0": "passed"}
    assert intended(folder) == ["s0"]
    approve(folder)
    done = folder.run("campaign", "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert count(folder) == 3
