"""An inventory with the wrong port, folder or unit: no foreign server is written, and nothing is lost."""

from __future__ import annotations

import shutil

import pytest

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.systems.postgres import cluster as clusters
from tests.systems.postgres import fixtures

place, primary, backup, target, foreign = (
    fixtures.place,
    fixtures.primary,
    fixtures.backup,
    fixtures.target,
    fixtures.foreign,
)


def at_port_of(place, wrong, other):
    """Service ``wrong`` with the port of ``other``."""
    name = wrong.service.name
    wrong.service = wrong.service.model_copy(update={"port": other.service.port})
    place.clusters[name].service = wrong.service
    return name


def holdings(cluster):
    query = "SELECT 'role ' || rolname FROM pg_roles UNION SELECT 'database ' || datname FROM pg_database ORDER BY 1"
    return cluster.sql(query, database="postgres")


def refusal(place, name, backup):
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.restore", service=name, **{"from": backup["location"]})
    assert [one.code for one in failure.value.findings] == ["restore-target"]
    return failure.value.message


def test_an_empty_foreign_cluster_at_the_port_gets_nothing(place, backup, target, foreign):
    """A foreign server answers where no cluster exists yet: nothing is created, nothing is written."""
    name, before = at_port_of(place, target, foreign), holdings(foreign)
    with pytest.raises(NotReady, match="contains no cluster"):
        place.action("postgres.restore", service=name, **{"from": backup["location"]}).ready(place.context())
    assert "is not the server that uses" in refusal(place, name, backup)
    assert holdings(foreign) == before
    assert not target.data.exists()


def test_a_foreign_cluster_that_takes_the_port_meanwhile_gets_nothing(place, backup, target, foreign, monkeypatch):
    """The foreign server answers exactly when the new cluster is started."""
    before, put = holdings(foreign), clusters.put_in_place
    name = target.service.name

    def late(made, tools):
        put(made, tools)
        at_port_of(place, target, foreign)
        object.__setattr__(tools.service, "port", foreign.service.port)

    monkeypatch.setattr(clusters, "put_in_place", late)
    with pytest.raises(StepFailed):
        place.run("postgres.restore", service=name, **{"from": backup["location"]})
    assert holdings(foreign) == before


def test_the_cluster_of_another_port_gets_nothing(place, backup, target, foreign):
    """Two clusters run, and the port belongs to the wrong one."""
    target.create()
    target.start()
    mine = holdings(target)
    name, before = at_port_of(place, target, foreign), holdings(foreign)
    assert "the answering server has the cluster" in refusal(place, name, backup)
    assert holdings(foreign) == before
    target.service = target.service.model_copy(
        update={"port": int((target.data / "postmaster.pid").read_text().split("\n")[3])}
    )
    assert holdings(target) == mine


def test_a_copy_of_the_cluster_is_told_from_it_by_its_process(place, primary, target):
    """A copy of the files including the lock file has the same identifier, but no server uses it."""
    shutil.copytree(primary.data, target.data)
    name = at_port_of(place, target, primary)
    lose = place.action("postgres.lose_data", service=name)
    with pytest.raises(NotReady, match="no server uses"):
        lose.ready(place.context())
    with pytest.raises(StepFailed, match="nothing was lost"):
        lose.run(place.context())
    with pytest.raises(CouldNotVerify, match="no server uses"):
        lose.active(place.context())
    assert (target.data / "PG_VERSION").exists()
    (target.data / "postmaster.pid").unlink()  # otherwise the fixture would stop the server of the original


@pytest.mark.parametrize("name", ["postgres.lose_data", "postgres.restore", "postgres.recover", "postgres.stop"])
def test_a_data_directory_that_is_not_the_one_of_the_server_at_the_port_is_not_ready(place, primary, target, foreign, name):
    """The right server runs too, at another port."""
    wrong = foreign.service.model_copy(update={"name": "wrong", "port": primary.service.port})
    place.extra["wrong"] = wrong
    fields = {"postgres.stop": {"mode": "immediate"}, "postgres.lose_data": {}}.get(
        name, {"from": "s3://backups-for-tests/x"}
    )
    action = place.action(name, service="wrong", **fields)
    with pytest.raises(NotReady, match="the answering server has the cluster") as refused:
        action.ready(place.context())
    assert "data_directory" in refused.value.hint
    if name == "postgres.lose_data":
        with pytest.raises(StepFailed, match="nothing was lost"):
            place.run(name, service="wrong")
    assert foreign.sql("SELECT 1", database="postgres") == [(1,)]
    place.extra["wrong"] = foreign.service.model_copy(update={"name": "wrong"})
    action.ready(place.context())
    del place.extra["wrong"]


def test_what_belongs_together_is_ready(place, primary):
    for name in ("postgres.lose_data", "postgres.stop"):
        place.action(name, service="primary").ready(place.context())
    place.action("postgres.recover", service="primary", **{"from": "s3://backups-for-tests/x"}).ready(place.context())
