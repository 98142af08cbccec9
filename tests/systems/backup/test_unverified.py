"""A check before a drill does not pass while the backup to restore is unread; the run reads it before any fault."""

import io
import json
import os
import tarfile
import time

import pytest

from tests.program import Folder, fault, here
from tests.systems.redis import artefacts
from tests.systems.redis.unit import program

TOLD = "the version of the backup that the command of dumps prints: only a run reads this version, before any fault"


@pytest.fixture(scope="module")
def rdb(tmp_path_factory):
    with artefacts.opened_rdb(tmp_path_factory.mktemp("server")) as data:
        yield data


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    restore = "restore:\n  - backup.restore: {service: copy, from: dumps}\n"
    made.write(
        fault(["touch", f"{tmp_path}/broken"], ["rm", "-f", f"{tmp_path}/broken"], ["test", "-e", f"{tmp_path}/broken"])
        + restore
    )
    return made


def stored(folder, data, at):
    (folder.root / "dump.rdb").write_bytes(data)
    (folder.root / "inventory" / "lab.yml").write_text(
        f"environment: lab\nhosts: {{{here(folder.root)}}}\nservices:\n  app: {{kind: process, host: controller}}\n"
        f"  copy: {{kind: redis, host: controller, program: {program()}, "
        f"sandbox: {{data_may_leave: true, folder: {folder.root}/box}}}}\n"
        f"backups:\n  dumps: {{kind: redis_rdb, host: controller, program: {program()}, at: {at}}}\n"
    )


@pytest.mark.parametrize("future", [True, False])
def test_a_printed_backup_is_told_by_the_check_and_read_first_by_the_run(folder, rdb, future):
    (folder.root / "printed").unlink(missing_ok=True)
    script = f"touch {folder.root}/printed; cat {folder.root}/dump.rdb"
    stored(folder, b"REDIS0099" + rdb[9:] if future else rdb, json.dumps(["sh", "-c", script]))
    done = folder.run("drill.check", "sample")
    text = " ".join(done.stdout.split())
    assert done.returncode == 3, done.stdout
    assert f"backup.restore on controller: {TOLD}" in text
    assert "set `only_reads: true` of dumps" in text
    assert "? everything that could be checked is ready, and the drill could begin now" in text
    assert not (folder.root / "printed").exists()
    as_json = folder.run("drill.check", "sample", "--json")
    (found,) = json.loads(as_json.stdout)
    assert (as_json.returncode, found["exit"], found["ready"], found["findings"]) == (3, 3, False, [])
    assert [TOLD in text for text in found["unverified"]] == [True]
    run = folder.run("drill", "sample", timeout=120)
    events = (folder.latest / "journal.jsonl").read_text()
    if future:
        assert run.returncode == 4, run.stdout
        assert "output has the format REDIS0099" in " ".join(run.stdout.split())
    else:
        assert run.returncode == 0, run.stdout
    assert ("broken" in events.partition('"phase.started"')[2]) is not future


@pytest.mark.parametrize("future", [True, False])
def test_a_check_reads_what_a_command_prints_that_only_reads(folder, rdb, future):
    data = b"REDIS0099" + rdb[9:] if future else rdb
    stored(folder, data, json.dumps(["cat", f"{folder.root}/dump.rdb"]) + ", only_reads: true")
    assert folder.run("drill.check", "sample").returncode == 3, "nobody has trusted the command"
    assert folder.run("trust", "--yes").returncode == 0
    done = folder.run("drill.check", "sample")
    assert done.returncode == (4 if future else 0), done.stdout
    assert future or "ran commands of the project: backups.dumps.at" in " ".join(done.stdout.split())


def test_a_stored_backup_is_read_by_the_check(folder, rdb):
    stored(folder, rdb, f"{folder.root}/dump.rdb")
    assert folder.run("drill.check", "sample").returncode == 0
    stored(folder, b"REDIS0099" + rdb[9:], f"{folder.root}/dump.rdb")
    done = folder.run("drill.check", "sample")
    assert done.returncode == 4
    assert "has the format REDIS0099" in " ".join(done.stdout.split())


def test_a_file_that_does_not_begin_like_an_rdb_is_no_green_check(folder, rdb):
    stored(folder, b"unknown" + rdb, f"{folder.root}/dump.rdb")
    done = folder.run("drill.check", "sample")
    assert done.returncode == 3, done.stdout
    assert "the backup dump.rdb of dumps, which does not begin like an RDB" in " ".join(done.stdout.split())


@pytest.mark.parametrize("kind", ["tar", "sqlite"])
@pytest.mark.parametrize("step", ["restore", "check"])
def test_an_empty_place_is_no_green_check_after_a_fault(folder, kind, step):
    (folder.root / "none").mkdir(exist_ok=True)
    pattern = {"tar": "*.tar", "sqlite": "*.db"}[kind]
    (folder.root / "inventory" / "lab.yml").write_text(
        f"environment: lab\nhosts: {{{here(folder.root)}}}\nservices:\n  app: {{kind: process, host: controller}}\n"
        f"  copy: {{kind: folder, host: controller, sandbox: {{data_may_leave: true, folder: {folder.root}/box}}}}\n"
        f"backups:\n  dumps: {{kind: {kind}, host: controller, at: {folder.root}/none, pattern: '{pattern}'}}\n"
    )
    if step == "check":
        folder.write("verify:\n  - backup.check: {service: dumps}\n")
    done = folder.run("drill.check", "sample")
    assert done.returncode == 3, done.stdout + done.stderr
    text = " ".join(done.stdout.split())
    assert "dumps does not have the wanted backup" in text
    assert (
        f"with a name like {pattern}. Correct `backups.dumps.at` (inventory/lab.yml:7) or `backups.dumps.pattern` (" in text
    )
    assert "could begin" not in text


@pytest.mark.parametrize(("hours", "status"), [(1, 0), (72, 3)])
def test_a_backup_that_is_too_old_is_no_green_check(folder, hours, status):
    (folder.root / "saved").mkdir()
    path = folder.root / "saved" / "site.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("page"), io.BytesIO())
    os.utime(path, (time.time() - hours * 3600,) * 2)
    (folder.root / "inventory" / "lab.yml").write_text(
        f"environment: lab\nhosts: {{{here(folder.root)}}}\nservices:\n  app: {{kind: process, host: controller}}\n"
        f"backups:\n  saved: {{kind: tar, host: controller, at: {folder.root}/saved, max_age: 26h}}\n"
    )
    folder.write("backup:\n  - backup.check: {service: saved}\n")
    done = folder.run("drill.check", "sample")
    assert done.returncode == status, done.stdout + done.stderr
    text = " ".join(done.stdout.split())
    assert ("could begin now" in text) is (status == 0)
    assert ("the backup of saved would fail the drill: " in text) is (status == 3)
    assert ("✗ a backup that the drill uses would make the drill fail, so the drill cannot pass now" in text) is (
        status == 3
    )


def test_a_place_without_backups_is_no_green_check(folder, rdb):
    folder.write("restore:\n  - backup.restore: {service: copy, from: dumps}\n")
    stored(folder, rdb, f"{folder.root}/none.rdb")
    done = folder.run("drill.check", "sample")
    assert done.returncode == 3, done.stdout
    text = " ".join(done.stdout.split())
    assert "the backup of dumps that the drill uses: no backups can be read from" in text
    assert "there is no folder and no file at this path. Correct `backups.dumps.at` (inventory/lab.yml:" in text
    assert "✗ a backup that the drill needs was not found, so the drill cannot pass now" in text
    assert "could begin" not in text


STEPS = {
    "restores": "restore:\n  - backup.restore: {service: copy, from: dumps}\n  - backup.restore: {service: again, from: dumps}\n",
    "a verification and restores": "backup:\n  - backup.check: {service: dumps}\n"
    "restore:\n  - backup.restore: {service: copy, from: dumps}\n  - backup.restore: {service: again, from: dumps}\n",
}


@pytest.mark.parametrize(
    ("steps", "only_reads", "by_check", "by_run"),
    [("restores", False, 0, 3), ("restores", True, 1, 3), ("a verification and restores", False, 0, 3)],
)
def test_a_backup_command_is_not_started_again_and_again(folder, rdb, steps, only_reads, by_check, by_run):
    """A run starts it once before the fault, in the checks of all steps or in the verification, and once for each restore."""
    count = folder.root / "starts"
    script = f"echo started >> {count}; exec cat {folder.root}/dump.rdb"
    stored(folder, rdb, json.dumps(["sh", "-c", script]) + (", only_reads: true" if only_reads else ""))
    inventory = folder.root / "inventory" / "lab.yml"
    box = next(line for line in inventory.read_text().splitlines() if line.startswith("  copy:"))
    again = box.replace("copy:", "again:").replace("/box}", "/box2}")
    inventory.write_text(inventory.read_text().replace(box, f"{box}\n{again}"))
    broken = f"{folder.root}/broken"
    folder.write(fault(["touch", broken], ["rm", "-f", broken], ["test", "-e", broken]) + STEPS[steps])

    def starts():
        return len(count.read_text().splitlines()) if count.exists() else 0

    if only_reads:
        assert folder.run("trust", "--yes").returncode == 0
    done = folder.run("drill.check", "sample")
    assert (done.returncode, starts()) == (0 if only_reads else 3, by_check), done.stdout
    run = folder.run("drill", "sample", timeout=120)
    assert (run.returncode, starts() - by_check) == (0, by_run), run.stdout
