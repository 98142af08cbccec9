"""Approvals of campaigns: one signed text lists the plans of all sites, and each site is approved only by its line."""

import json
import os
import shutil
import subprocess

import pytest

from drillbook.errors import UsageError
from drillbook.plan import campaign_approval
from tests.needs import need
from tests.plan.test_approval import DAY, GOOD, NOW, OPERATOR, Desk


@pytest.fixture
def desk(tmp_path):
    need("ssh-keygen")
    return Desk(tmp_path)


def approve(desk, *sites, who="alice", plan=None):
    plans = {site: [plan or desk.plan] for site in sites}
    return campaign_approval.approve(plans, desk.root, "sample", "A sample", now=NOW, until=DAY, key=desk.keys[who])[1]


def codes(desk, files, plans, now=NOW, operator=OPERATOR, signing=""):
    """Reason why each site is not approved, as the code of its finding; None for an approved site."""
    found = campaign_approval.look_at_sites(files, plans, now=now, operator=operator, signing=signing)
    return {site: reason and reason.code for site, reason in found.items()}


def signed_by_hand(desk, files, text, who="alice"):
    """Replace the text of the approval, signed by ``who``."""
    files.text.write_text(text)
    files.signature.unlink()
    argv = ["ssh-keygen", "-q", "-Y", "sign", "-n", "drillbook-approval", "-f", desk.keys[who], files.text]
    subprocess.run(argv, check=True, capture_output=True)


def look(desk, site, files, plan=None, now=NOW, operator=OPERATOR):
    return campaign_approval.look(plan or desk.plan, site, files, now=now, operator=operator)


def test_each_site_is_approved_by_its_own_line(desk):
    files = approve(desk, "north", "south")
    facts = look(desk, "south", files).facts()
    assert (facts["site"], facts["sites"], facts["plan_digest"]) == ("south", 2, desk.plan.digest)
    assert facts["principal"] == "alice@example.com"
    refusal = look(desk, "west", files).refusal
    assert refusal.code == "approval-missing"
    assert "does not list the site west" in refusal.measured
    assert "campaign.approve sample" in refusal.remedy


def test_another_plan_of_a_site_is_refused_with_both_digests(desk):
    files = approve(desk, "north", "south")
    changed = desk.planned(GOOD.replace("name: Kill it", "name: Kill it\n    timeout: 9s"))
    refusal = look(desk, "north", files, changed).refusal
    assert refusal.code == "approval-changed"
    assert desk.plan.digest in refusal.measured
    assert changed.digest in refusal.measured
    assert look(desk, "south", files).refusal is None, "the other sites go on"


@pytest.mark.parametrize("site", ["north", "south"])
def test_one_tampered_line_makes_the_whole_approval_invalid(desk, site):
    changed = desk.planned(GOOD.replace("name: Kill it", "name: Kill it\n    timeout: 9s"))
    files = approve(desk, "north", "south")
    lines = files.text.read_text().splitlines(keepends=True)
    (number,) = (number for number, line in enumerate(lines) if line.startswith('"north"'))
    lines[number] = lines[number].replace(desk.plan.digest, changed.digest)
    files.text.write_text("".join(lines))
    refusal = look(desk, site, files, changed if site == "north" else desk.plan).refusal
    assert refusal.code == "approval-bad-signature"


def test_it_has_the_limits_of_any_approval(desk):
    files = approve(desk, "north")
    assert look(desk, "north", files, now=NOW + DAY).refusal.code == "approval-expired"
    assert look(desk, "north", files, operator="alice@elsewhere").refusal.code == "approval-by-operator"
    files.signature.unlink()
    assert look(desk, "north", files).refusal.code == "approval-missing"
    with pytest.raises(UsageError, match="not signed by a permitted approver"):
        approve(desk, "north", who="mallory")


def test_every_site_has_to_know_the_approver(desk):
    text = desk.approvers.read_text()
    other = desk.root / "inventory" / "others"
    other.write_text(text.replace("alice@example.com", "alice@elsewhere.com"))
    elsewhere = desk.planned(approvers="approvers: others\n")
    plans = {"north": [desk.plan], "south": [elsewhere]}
    with pytest.raises(UsageError, match="not signed by a permitted approver"):
        campaign_approval.approve(plans, desk.root, "sample", "t", now=NOW, until=DAY, key=desk.keys["alice"])
    assert not list((desk.root / "approvals").iterdir())
    other.write_text(text)
    campaign_approval.approve(plans, desk.root, "sample", "t", now=NOW, until=DAY, key=desk.keys["alice"])


def test_a_thousand_sites_fit_and_the_newest_approval_is_found(desk):
    sites = [f"site-{number:04}" for number in range(1000)]
    files = approve(desk, *sites)
    assert look(desk, "site-0999", files).refusal is None
    lines = {"site-0007": campaign_approval.SiteLine.of([desk.plan])}
    assert campaign_approval.newest(desk.root, "sample", lines) == files
    assert campaign_approval.newest(desk.root, "other", lines) is None
    own = approve(desk, "site-0007")
    assert campaign_approval.newest(desk.root, "sample", lines) == own
    assert desk.code() == "approval-missing", "outside of a campaign, it approves nothing"


def test_the_text_that_people_sign_lists_each_site_on_a_line_of_its_own(desk):
    files = approve(desk, "north", "south")
    lines = files.text.read_text().splitlines()
    assert [line.partition(":")[0] for line in lines[1:-1]] == ['"north"', '"south"']
    assert all(desk.plan.digest in line and '"production"' in line for line in lines[1:-1])
    read = json.loads(files.text.read_text())
    assert (read["drill"], read["title"], read["principal"]) == ("sample", "A sample", "alice@example.com")


def test_each_of_many_sites_has_its_own_reason(desk):
    files = approve(desk, "north", "south")
    changed = desk.planned(GOOD.replace("name: Kill it", "name: Kill it\n    timeout: 9s"))
    plans = {"north": [desk.plan], "south": [changed], "west": [desk.plan]}
    expected = {"north": None, "south": "approval-changed", "west": "approval-missing"}
    assert codes(desk, files, plans) == expected
    assert codes(desk, files, {"north": [desk.plan, changed]}) == {"north": "approval-changed"}, "each plan of a site counts"


def test_a_line_that_does_not_fit_is_told_before_the_end_of_the_approval(desk):
    files = approve(desk, "north")
    plans = {"north": [desk.plan], "west": [desk.plan]}
    assert codes(desk, files, plans, now=NOW + DAY) == {"north": "approval-expired", "west": "approval-missing"}


def test_neither_the_operator_nor_the_key_of_the_run_may_have_approved(desk):
    files = approve(desk, "north")
    plans = {"north": [desk.plan]}
    key = look(desk, "north", files).fingerprint
    assert codes(desk, files, plans, signing=key) == {"north": "approval-by-operator"}
    assert codes(desk, files, plans, operator="alice@elsewhere") == {"north": "approval-by-operator"}
    assert codes(desk, files, plans, signing="SHA256:another") == {"north": None}


def test_the_key_of_another_person_approves_no_site(desk):
    files = approve(desk, "north", "south")
    plans = {"north": [desk.plan], "south": [desk.plan]}
    signed_by_hand(desk, files, files.text.read_text(), who="mallory")
    assert codes(desk, files, plans) == {"north": "approval-unknown-signer", "south": "approval-unknown-signer"}
    assert look(desk, "north", files).refusal.code == "approval-unknown-signer"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "[]",
        lambda text: text[:-3],
        lambda text: text.replace("campaign-approval/1", "campaign-approval/2"),
        lambda text: text.replace("sha256:", "sha1:"),
        lambda text: text.replace('"title"', '"more": 1, "title"'),
        lambda text: text.replace('{"environment"', '{"more": 1, "environment"'),
    ],
    ids=["a-list", "cut-off", "another-format", "another-digest", "an-unknown-key", "an-unknown-key-in-a-line"],
)
def test_a_signed_text_of_another_form_approves_no_site(desk, change):
    files = approve(desk, "north")
    text = files.text.read_text()
    assert change(text) != text
    signed_by_hand(desk, files, change(text))
    assert codes(desk, files, {"north": [desk.plan]}) == {"north": "approval-not-verified"}
    refusal = look(desk, "north", files).refusal
    assert refusal.code == "approval-not-verified"
    assert f"{files.text} is not an approval" in refusal.measured


@pytest.mark.parametrize("part", ["text", "signature"])
def test_a_missing_file_is_named(desk, part):
    files = approve(desk, "north")
    path = getattr(files, part)
    path.unlink()
    (reason,) = campaign_approval.look_at_sites(files, {"north": [desk.plan]}, now=NOW, operator=OPERATOR).values()
    assert (reason.code, reason.measured) == ("approval-missing", f"{path} does not exist")


def test_a_line_approves_a_plan_only_on_its_own_environment(desk):
    files = approve(desk, "north")
    signed_by_hand(desk, files, files.text.read_text().replace('"environment":"production"', '"environment":"test"'))
    refusal = look(desk, "north", files).refusal
    assert refusal.code == "approval-changed"
    assert "sample in the environment test with the plan digest" in refusal.measured
    assert "sample in the environment production" in refusal.wanted


def test_a_drill_that_a_line_does_not_list_has_no_digest(desk):
    files = approve(desk, "north")
    other = desk.plan.model_copy(update={"drill": "other"})
    refusal = look(desk, "north", files, other).refusal
    assert refusal.code == "approval-changed"
    assert "other in the environment production with the plan digest none" in refusal.measured


def test_the_signature_is_verified_once_for_all_sites_that_have_the_same_approvers(desk, monkeypatch):
    files = approve(desk, "north")
    folder, calls = desk.root / "bin", desk.root / "calls"
    folder.mkdir()
    program = folder / "ssh-keygen"
    program.write_text(f'#!/bin/sh\necho "$2" >> {calls}\nexec {shutil.which("ssh-keygen")} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    copy = desk.root / "inventory" / "others"
    copy.write_text(desk.approvers.read_text())
    elsewhere = desk.planned(approvers="approvers: others\n")
    codes(desk, files, {f"site-{number}": [desk.plan, desk.plan] for number in range(20)})
    assert calls.read_text().split() == ["check-novalidate", "verify"]
    calls.unlink()
    codes(desk, files, {"north": [desk.plan], "south": [elsewhere], "west": [elsewhere]})
    assert calls.read_text().split() == ["check-novalidate", "verify"] * 2


def test_sites_without_a_file_of_approvers_cannot_be_approved(desk):
    plan = desk.planned(approvers="")
    with pytest.raises(UsageError, match="the inventories of the sites have no key `approvers`") as told:
        approve(desk, "north", plan=plan)
    assert "approvers: FILE" in told.value.hint
    assert not (desk.root / "approvals").exists()
    files = approve(desk, "north")
    assert codes(desk, files, {"north": [plan]}) == {"north": "approval-not-verified"}
