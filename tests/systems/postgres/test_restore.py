"""Restores that are not clean: over something that exists, by a tool that errs, or stopped on the way."""

import json
import threading
import time
from pathlib import Path

import pytest

from drillbook.errors import Cancelled, NotReady, StepFailed
from drillbook.sdk.action import find
from tests.systems.estate import codes
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET, leftovers

place, primary, backup, restored, target = (
    fixtures.place,
    fixtures.primary,
    fixtures.backup,
    fixtures.restored,
    fixtures.target,
)


def test_nothing_is_restored_over_a_database(place, primary, backup):
    before = primary.sql("SELECT system_identifier FROM pg_control_system()")
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.restore", service="primary", **{"from": backup["location"]})
    assert codes(failure) == ["restore-target"]
    assert primary.sql("SELECT system_identifier FROM pg_control_system()") == before


def test_nothing_is_restored_over_other_files(place, backup, target):
    target.data.mkdir()
    (target.data / "thesis.txt").write_text("years of work")
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.restore", service=target.service.name, **{"from": backup["location"]})
    assert codes(failure) == ["restore-target"]
    assert (target.data / "thesis.txt").read_text() == "years of work"


def test_a_dropped_database_comes_back_into_the_running_cluster(place, backup, restored):
    restored.sql("DROP DATABASE shop WITH (FORCE)", database="postgres")
    facts = place.run("postgres.restore", service="spare", **{"from": backup["location"]})
    assert facts["fresh_cluster"] is False
    place.run("postgres.matches", service="spare", manifest=backup["manifest"])


@pytest.mark.parametrize(
    "line", ["pg_restore: error: could not execute query: ERROR:  boom", "pg_restore: warning: errors ignored on restore: 3"]
)
def test_a_tool_that_reports_errors_and_exits_0_is_found_out(place, backup, target, tmp_path, line):
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for tool in Path(target.service.bin).iterdir():
        (bin_folder / tool.name).symlink_to(tool)
    real = (bin_folder / "pg_restore").resolve()
    (bin_folder / "pg_restore").unlink()
    (bin_folder / "pg_restore").write_text(
        f'#!/bin/sh\ncase "$*" in *--exit-on-error*) echo "{line}" >&2; exit 0;; esac\nexec {real} "$@"\n'
    )
    (bin_folder / "pg_restore").chmod(0o755)
    target.service = place.clusters[target.service.name].service = target.service.model_copy(update={"bin": str(bin_folder)})
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.restore", service=target.service.name, **{"from": backup["location"]})
    assert codes(failure) == ["restore-errors"]
    assert line.split(": ", 1)[1] in failure.value.findings[0].measured
    assert (place.folder / "run" / failure.value.findings[0].evidence[0]).read_text().strip() == line
    assert target.sql("SELECT 1 FROM pg_database WHERE datname = 'shop'", database="postgres") == []


def test_a_stopped_restore_leaves_no_half_database(place, backup, target, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in Path(target.service.bin).iterdir():
        if tool.name != "vacuumdb":
            (folder / tool.name).symlink_to(tool)
    begun = tmp_path / "begun"
    folder.chmod(0o755)
    (folder / "vacuumdb").write_text(
        f"#!/bin/sh\ncase $* in *--version*) exec {target.service.bin}/vacuumdb --version;; esac\ntouch {begun}\nsleep 60\n"
    )
    (folder / "vacuumdb").chmod(0o755)
    place.clusters[target.service.name].service = target.service.model_copy(update={"bin": str(folder)})
    ctx = place.context()

    def stop_once_begun():
        until = time.monotonic() + 60
        while not begun.exists() and time.monotonic() < until:
            time.sleep(0.02)
        ctx.deadline.cancel.set()

    stopper = threading.Thread(target=stop_once_begun)
    stopper.start()
    with pytest.raises(Cancelled):
        place.run("postgres.restore", ctx=ctx, service=target.service.name, **{"from": backup["location"]})
    stopper.join()
    assert begun.exists()
    assert target.sql("SELECT 1 FROM pg_database WHERE datname = 'shop'", database="postgres") == []
    assert leftovers(place) == []


def test_restore_is_ready_before_its_backup_exists(place, primary):
    action = find("postgres.restore").with_unknown({"service": "primary"}, {"from"})
    action.ready(place.context())


def test_restore_is_not_ready_without_room(place, primary, backup):
    manifest = json.loads(place.s3().get_object(Bucket=BUCKET, Key="rich/manifest.json")["Body"].read())
    place.action("postgres.restore", service="primary", **{"from": backup["location"]}).ready(place.context())
    manifest["database"]["bytes"] = 1 << 55
    place.s3().put_object(Bucket=BUCKET, Key="huge/manifest.json", Body=json.dumps(manifest).encode())
    with pytest.raises(
        NotReady,
        match="MiB of free space without the present database, but the database in the backup needs 34359738368 MiB",
    ):
        place.action("postgres.restore", service="primary", **{"from": f"s3://{BUCKET}/huge"}).ready(place.context())
