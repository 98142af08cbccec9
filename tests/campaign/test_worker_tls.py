"""Workers and schedulers with wrong certificates get no site, and receive no secret from a campaign."""

import pytest

from tests.campaign.cluster import DAY, Cluster, certificate, issued
from tests.campaign.test_processes import count, counting, ends, events, until, with_sites
from tests.needs import library
from tests.program import Folder

library("distributed")

from drillbook.campaign import connecting  # noqa: E402  needs the library


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "controller").mkdir()
    made = Folder(tmp_path / "controller")
    counting(made)
    with_sites(made, 1)
    return made


@pytest.fixture
def cluster(folder, tmp_path):
    made = Cluster(tmp_path, folder)
    yield made
    made.close()


@pytest.fixture
def other(tmp_path):
    """Folder of another certificate authority with the same name."""
    (tmp_path / "other").mkdir()
    certificate(tmp_path / "other")
    return tmp_path / "other"


def campaign(folder, cluster):
    done = folder.run("campaign", "sample", "--sites", "all.yml", "--on", cluster.address, timeout=300)
    return done, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(
    ("wrong", "reason"), [("other", "certificate signature failure"), ("old", "certificate has expired")]
)
def test_a_worker_with_a_wrong_certificate_gets_no_site(folder, cluster, other, wrong, reason):
    settings = issued(cluster.root, wrong, by=other) if wrong == "other" else issued(cluster.root, wrong, age=3 * DAY)
    place = cluster.worker("wrong", environment=settings)
    cluster.start("scheduler", "wrong")
    until(lambda: reason in (cluster.root / "scheduler.log").read_text(), 300)
    cluster.worker("good")
    cluster.start("good")
    done, said = campaign(folder, cluster)
    assert done.returncode == 0, said
    assert count(folder) == 1
    assert "at 127.0.0.1" not in said.replace(cluster.address, "")
    (intent,) = (event["data"] for event in events(folder) if event["kind"] == "site.intended")
    assert str(cluster.root / "good") in intent["place"]
    assert not (place / "reports").exists()


def test_a_worker_that_listens_without_tls_gets_no_site(folder, cluster):
    place = cluster.worker("plain", "--protocol", "tcp")
    cluster.worker("good")
    cluster.start("scheduler", "plain")
    until(lambda: "Registered to" in (cluster.root / "plain.log").read_text(), 300)
    cluster.start("good")
    done, said = campaign(folder, cluster)
    assert done.returncode == 0, said
    assert "the worker listens without TLS on an address that others can reach" in said
    assert {end["state"] for end in ends(folder).values()} == {"passed"}
    assert not (place / "reports").exists()


@pytest.mark.parametrize("wrong", ["other", "old"])
def test_a_campaign_does_not_begin_when_a_certificate_of_scheduler_or_client_is_wrong(folder, cluster, other, wrong):
    cluster.worker("good")
    cluster.start()
    if wrong == "other":
        folder.environment |= certificate(other)
    else:
        folder.environment |= issued(cluster.root, "old", age=3 * DAY)
    done, said = campaign(folder, cluster)
    assert done.returncode == 2, said
    assert f"the certificates of this machine and of the scheduler at {cluster.address} do not match" in said
    assert count(folder) == 0
    assert list((folder.root / "reports" / "campaigns").iterdir()) == []


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("tcp://127.0.0.1:40000", True),
        ("tcp://[::1]:40000", True),
        ("tcp://10.0.0.5:40000", False),
        ("tcp://worker.example.com:40000", False),
        ("inproc://10.0.0.5/1/2", False),
    ],
)
def test_a_worker_of_a_scheduler_without_tls_must_be_on_loopback(address, safe):
    assert connecting._at_loopback(address) is safe
