"""One diagnosis: healthy only when every needed check ran, unknown when a check is missing, and without secrets."""

from drillbook.diagnosis.run import examine
from drillbook.hosts.fake import Reply
from tests.diagnosis.test_trees import DEAD, TREE, Site
from tests.diagnosis.test_trees import site as site


def test_healthy_when_every_check_was_made_and_says_so(site):
    found = site.look()
    assert (found.found, found.ranked, found.why) == ("healthy", (), ())
    assert found.examined == ("api", "worker")
    assert {check.check: check.status for check in found.checks} == {"unit": "made", "memory": "left out"}


def test_a_host_that_cannot_be_asked_is_never_healthy(site):
    site.hosts["db"].unreachable = True
    found = site.look()
    assert (found.found, found.ranked) == ("unknown", ())
    assert any("worker: its unit could not be examined" in one for one in found.why)


def test_a_cause_that_was_found_is_told_beside_what_is_not_known(site):
    site.hosts["db"].unreachable = True
    site.unit("app", DEAD)
    assert site.look().found == "api-down"


def test_wrong_without_a_cause_is_unknown(tmp_path):
    made = Site(tmp_path, TREE.replace("weight: 3", "weight: 1").replace("'failed'\", weight: 1", "'stopped'\", weight: 1"))
    made.unit("app", DEAD)
    found = made.look("api")
    assert (found.found, found.ranked) == ("unknown", ())
    assert "api: not true: unit.ok; its unit: api is inactive (dead), not running" in found.why


def test_nothing_looked_at_is_not_healthy(tmp_path):
    made = Site(tmp_path, TREE.replace("name: its unit}", "name: its unit, needs: [postgres]}"))
    found = made.look("api")
    assert found.found == "unknown"
    assert found.why == ("api: no check shows that this service is healthy",)


def test_no_service_at_all_is_not_healthy(site):
    found = examine(site.ctx(), site.book, (), 20.0)
    assert (found.found, found.why) == ("unknown", ("the inventory has no service that can be examined",))


def test_secrets_are_hidden(site):
    site.unit("app", Reply(exit=1, stderr=b"denied for hunter2-hunter2"))
    text = site.look("api").model_dump_json()
    assert "***" in text
    assert "hunter2" not in text
