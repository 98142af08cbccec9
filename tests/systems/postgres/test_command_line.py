"""Settings that a server has from its command line alone: it is not stopped, because a start would lose them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.systems.postgres.actions.fields import need_start
from tests.systems.postgres import fixtures
from tests.systems.refusals import refused_until

place, foreign = fixtures.place, fixtures.foreign


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
    said = "has work_mem from its command line, and pg_ctl would start the server without them"
    refused_until(lambda: action.ready(ctx), said, lambda: by_options(foreign, f"-p {port}"))
    conf = foreign.data / "postgresql.conf"
    conf.write_text(conf.read_text().replace(f"port = {port}", ""))
    by_options(foreign, f"-p {port} -k {foreign.data.parent}")
    said = "has port from its command line, and pg_ctl would start the server without them"
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
    said = "has {} from its command line, and pg_ctl would start"
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
