"""An inventory with the wrong port, folder or unit: no foreign server is written, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.systems.postgres import cluster as clusters
from drillbook.systems.postgres.actions.fields import need_start
from drillbook.systems.postgres.programs import Tools
from tests.systems.postgres import fixtures
from tests.systems.refusals import refused_until

place, primary, backup, target = fixtures.place, fixtures.primary, fixtures.backup, fixtures.target


@pytest.fixture
def foreign(place):
    """Foreign cluster with the same superuser, running and empty."""
    made = place.place("foreign")
    made.create()
    made.start()
    yield made
    place.clusters.pop("foreign").destroy()
    shutil.rmtree(made.data.parent)


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


def by_options(cluster, options, **env):
    """Start the server with options that are in no file."""
    argv = [f"{cluster.service.bin}/pg_ctl", "-D", cluster.data, "-o", options, "-l", f"{cluster.data}.log", "-w", "-s"]
    subprocess.run([*map(str, argv), "restart"], check=True, stdin=subprocess.DEVNULL, env=os.environ | env)


@pytest.mark.parametrize(
    ("name", "fields"), [("postgres.lose_data", {}), ("postgres.stop", {}), ("postgres.stop", {"mode": "immediate"})]
)
def test_a_server_whose_settings_are_only_in_its_command_line_is_not_destroyed(place, foreign, name, fields):
    place.extra["foreign"] = foreign.service
    ctx = replace(place.context(), proofs=frozenset({"backup.check"}))
    action, port = place.action(name, service="foreign", **fields), foreign.service.port
    action.ready(ctx)
    by_options(foreign, f"-p {port} -c work_mem=9MB")
    said = "has work_mem from its command line, and a start by pg_ctl does not repeat them"
    refused_until(lambda: action.ready(ctx), said, lambda: by_options(foreign, f"-p {port}"))
    conf = foreign.data / "postgresql.conf"
    conf.write_text(conf.read_text().replace(f"port = {port}", ""))
    by_options(foreign, f"-p {port} -k {foreign.data.parent}")
    said = "has port from its command line, and a start by pg_ctl does not repeat them"
    with pytest.raises(NotReady, match=said) as refused:
        action.ready(ctx)
    assert "write these settings into postgresql.conf in the data directory" in refused.value.hint
    if name == "postgres.lose_data":
        with pytest.raises(StepFailed, match=f"{said}; nothing was lost"):
            action.run(ctx)
    assert foreign.sql("SELECT 1", database="postgres") == [(1,)]


def test_a_server_that_lets_nobody_read_its_settings_is_not_stopped(place, foreign):
    """A step queries the identity of the cluster first; this is the check after it, for rules that changed in between."""
    place.extra["foreign"] = foreign.service
    ctx, hba = place.context(), foreign.data / "pg_hba.conf"
    rules = hba.read_text()

    def ruled(text):
        hba.write_text(text)
        by_options(foreign, "")

    ruled("local all all reject\nhost all all all reject\n")
    said = "cannot be queried for its command line"
    refused_until(lambda: need_start(ctx, foreign.service), said, lambda: ruled(rules))


def test_a_setting_with_the_same_value_in_the_files_is_not_lost(place, foreign):
    """The files have units and other words than the server shows."""
    place.extra["foreign"] = foreign.service
    ctx, action = place.context(), place.action("postgres.stop", service="foreign")
    with (foreign.data / "postgresql.conf").open("a") as file:
        file.write("work_mem = 9MB\nfsync = TRUE\nlog_checkpoints = yes\n")
    by_options(foreign, "-c work_mem=9216 -c fsync=on -c log_checkpoints=no")
    with pytest.raises(NotReady, match="has log_checkpoints from its command line") as refused:
        action.ready(ctx)
    assert "and restart the server without these options" in refused.value.hint


def test_a_server_whose_configuration_is_elsewhere_is_not_destroyed(place, foreign):
    """pg_ctl with the data directory alone finds neither these files nor PGPORT."""
    place.extra["foreign"] = foreign.service
    ctx, action = place.context(), place.action("postgres.stop", service="foreign")
    elsewhere, port = foreign.data.parent / "etc", foreign.service.port
    elsewhere.mkdir(mode=0o755)
    for name in ("postgresql.conf", "pg_hba.conf"):
        shutil.copy(foreign.data / name, elsewhere)
        shutil.chown(elsewhere / name, foreign.data.owner())
    by_options(foreign, f"-c hba_file={elsewhere}/pg_hba.conf")
    said = "has {} from its command line, and a start by pg_ctl"
    lines = (conf := foreign.data / "postgresql.conf").read_text()

    def named():
        with conf.open("a") as file:
            file.write(f"hba_file = '{elsewhere}/pg_hba.conf'\n")
        by_options(foreign, "")

    refused_until(lambda: action.ready(ctx), said.format("hba_file"), named)
    conf.write_text(lines)
    by_options(foreign, f"-c config_file={elsewhere}/postgresql.conf")
    refused_until(lambda: action.ready(ctx), said.format("config_file"), lambda: by_options(foreign, ""))
    conf.write_text(lines.replace(f"port = {port}", ""))
    by_options(foreign, "", PGPORT=str(port))
    with pytest.raises(NotReady, match=said.format("port")):
        action.ready(ctx)


def test_a_server_that_does_not_start_tells_its_log(place, target):
    target.create()
    with (target.data / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = 'many'\n")
    with pytest.raises(StepFailed) as failure:
        clusters.start(place.context(), Tools.of(place.context(), target.service))
    assert 'invalid value for parameter "shared_buffers": "many"' in failure.value.message
    assert "no server running" not in failure.value.message
    [found] = failure.value.findings
    assert "drillbook.log" in found.remedy
    assert "unit" not in found.remedy
