"""Approvals of campaigns: one signed text lists the plans of all sites, and each site is approved by its own line alone."""

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
