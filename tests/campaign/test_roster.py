"""Workers of a campaign that can be used, and the reasons why others cannot."""

import pytest

from drillbook import __version__
from tests.campaign.answering import JOB, OWN, Tells
from tests.campaign.test_processes import until
from tests.needs import library

library("distributed")

from drillbook.campaign import connecting, roster  # noqa: E402  need the library


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"version": "0.0.1", "name": "n"}, "the worker has Drillbook 0.0.1, but the controller has "),
        ({"error": "/srv is no project"}, "/srv is no project"),
        ({"version": __version__, "name": "n"}, ""),
    ],
)
def test_a_worker_that_cannot_drill_is_not_used_and_the_reason_is_told(said, why):
    assert roster._unfit(said).startswith(why)
    assert bool(roster._unfit(said)) == bool(why)


def test_a_clone_of_the_machine_of_another_worker_is_not_used(joined):
    made = joined(Tells({"tls://a": OWN, "tls://b": OWN, "tls://c": {**OWN, "disk": "boot-2:64"}}))
    said = made.told()
    assert len([line for line in said if line.startswith("worker ")]) >= 1
    assert any("its machine is a clone of the machine of the worker tls://" in line for line in said)


def test_a_worker_that_failed_to_answer_is_asked_again(joined, monkeypatch):
    monkeypatch.setattr(roster, "RETRY_S", 0)
    client = Tells({"tls://a": ConnectionError("refused")})
    made = joined(client)
    assert any("Drillbook cannot be used on this worker: ConnectionError: refused" in line for line in made.told())
    assert made.who(JOB) is None
    client.said["tls://a"] = OWN
    until(lambda: made.who(JOB) == OWN["name"])
    assert not any("not used" in line for line in made.told())


@pytest.mark.parametrize("where", ["contact", "listens", "nanny"])
def test_a_worker_that_listens_without_tls_anywhere_is_not_used(joined, where):
    open_to_all = "tcp://0.0.0.0:4000"
    address = open_to_all if where == "contact" else "tls://a"
    client = Tells(
        {address: OWN},
        listens={address: open_to_all} if where == "listens" else {},
        nannies={address: open_to_all} if where == "nanny" else {},
    )
    made = joined(client, trusted=connecting._encrypted)
    assert made.told() == [
        "no worker can be used yet; the sites wait until there is one",
        f"not used: {address}: the worker listens without TLS on an address that others can reach: {open_to_all}",
    ]
    assert where == "listens" or client.asked == []
