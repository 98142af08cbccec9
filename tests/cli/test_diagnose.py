"""`invoke diagnose --within`: the real program ends in time, even if something hangs before the first check."""

import json
import os
import pty
import socket
import subprocess

import pytest

from tests.cli.test_stop import BREAK, started
from tests.program import Folder, here, step

TREE = """
tree: cache
title: A cache
kind: redis
checks:
  info: {redis.usage: {service: "{{ service.name }}"}}
  disk: {host.disk: {service: "{{ service.name }}", path: /}}
healthy: [info.ok]
"""
LATER = """\
  later: {host.disk: {service: "{{ service.name }}", path: /}, when: "1 == 2"}
"""
HANGS = {
    "a secret": ("controller", "!command [sh, -c, 'echo $$ > DIR/pid; exec sleep 300']"),
    "a host": ("far", "!env DRILLBOOK_TEST"),
}


@pytest.mark.parametrize("what", HANGS)
def test_the_deadline_counts_from_the_start_of_the_command(tmp_path, what):
    folder = Folder(tmp_path)
    host, secret = HANGS[what]
    folder.environment["DRILLBOOK_TEST"] = "hunter2-hunter2"
    (tmp_path / "drills" / "diagnosis").mkdir()
    (tmp_path / "drills" / "diagnosis" / "cache.yml").write_text(TREE)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        (tmp_path / "inventory" / "lab.yml").write_text(
            f"environment: lab\nhosts:\n  {here(tmp_path)}\n  far: {{address: 127.0.0.1, port: {port}}}\nservices:\n"
            f"  cache: {{kind: redis, host: {host}, address: 127.0.0.1, port: {port}, password: {secret.replace('DIR', str(tmp_path))}}}\n"
        )
        assert folder.run("trust", "--yes").returncode == 0
        done = folder.run("diagnose", "cache", "--within", "3s", "--json", timeout=120)
    assert (done.returncode, done.stderr) == (3, "")
    found = json.loads(done.stdout)
    assert found["seconds"] >= 3 * 19 / 20  # a twentieth is reserved for the work after the checks
    assert found["found"] == "unknown"
    assert sum("disk could not be examined" in one for one in found["why"]) == 1, "what was not looked at is told"
    if what == "a secret":
        assert "the secret !command ['sh', '-c', " in found["why"][0]
        assert "could not be read in time; no host was contacted" in found["why"][0]
        assert "no time was left for the check" in found["why"][1]
        number = (tmp_path / "pid").read_text().strip()
        assert not (tmp_path.joinpath("/proc", number)).exists(), "the command is ended"


def test_a_secret_that_fails_is_an_error_as_ever(tmp_path):
    folder = Folder(tmp_path)
    (tmp_path / "drills" / "diagnosis").mkdir()
    (tmp_path / "drills" / "diagnosis" / "cache.yml").write_text(TREE)
    (tmp_path / "inventory" / "lab.yml").write_text(
        f"environment: lab\nhosts:\n  {here(tmp_path)}\nservices:\n"
        "  cache: {kind: redis, host: controller, address: 127.0.0.1, port: 1, password: !env DRILLBOOK_NONE}\n"
    )
    done = folder.run("diagnose", "--within", "3s")
    assert done.returncode == 2
    assert "services.cache.password of the inventory: the environment variable DRILLBOOK_NONE is not set" in done.stderr


def test_an_inventory_without_a_service_is_not_healthy(tmp_path):
    folder = Folder(tmp_path)
    (tmp_path / "drills" / "diagnosis").mkdir()
    (tmp_path / "drills" / "diagnosis" / "cache.yml").write_text(TREE)
    (tmp_path / "inventory" / "lab.yml").write_text("environment: lab\nhosts: {}\nservices: {}\n")
    done = folder.run("diagnose")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the inventory lab has no service that can be examined" in done.stderr


def test_the_first_line_tells_why_checks_did_not_run(tmp_path):
    folder = Folder(tmp_path)
    (tmp_path / "drills" / "diagnosis").mkdir()
    tree = TREE.replace("healthy:", LATER + "healthy:")
    (tmp_path / "drills" / "diagnosis" / "cache.yml").write_text(tree)
    (tmp_path / "inventory" / "lab.yml").write_text(
        f"environment: lab\nhosts:\n  {here(tmp_path)}\nservices:\n"
        "  cache: {kind: redis, host: controller, address: 127.0.0.1, port: 1}\n"
    )
    done = folder.run("diagnose", "cache")
    first = " ".join(done.stdout.split()).partition(" s, ")
    assert first[0].startswith("examined: cache; 1 of 3 checks ran in "), done.stdout + done.stderr
    assert first[2].startswith("1 not needed here, 1 could not be made ")
    assert "later of cache" not in done.stdout
    assert "skipped, not needed: later of cache" in folder.run("diagnose", "cache", "--verbose").stdout


BESIDE = """\
  site: {kind: folder, host: controller, path: /srv/site}
  copy: {kind: folder, host: controller, sandbox: {}, not_drilled: a sandbox}
  gone: {kind: folder, host: controller, path: /srv/gone, missing: the Docker lab}
  spare: {kind: redis, host: controller, address: 127.0.0.1, port: 1, standby: true}
"""


def test_services_that_are_not_examined_are_named_under_the_verdict(tmp_path):
    folder = Folder(tmp_path)
    (tmp_path / "drills" / "diagnosis").mkdir()
    tree = """
tree: program
title: A program
kind: process
checks:
  disk: {host.disk: {service: "{{ service.name }}", path: /}}
healthy: [disk.ok]
"""
    (tmp_path / "drills" / "diagnosis" / "program.yml").write_text(tree)
    (tmp_path / "drills" / "diagnosis" / "cache.yml").write_text(TREE)
    inventory = tmp_path / "inventory" / "lab.yml"
    text = f"environment: lab\nhosts:\n  {here(tmp_path)}\nservices:\n  app: {{kind: process, host: controller}}\n"
    inventory.write_text(text)
    assert folder.run("diagnose").stdout.splitlines()[-1] == "✓ healthy: every check ran, and none found a problem"
    inventory.write_text(text + BESIDE)
    done = folder.run("diagnose")
    assert done.stderr == ""
    assert (done.returncode, done.stdout.splitlines()[-4:]) == (
        0,
        [
            "✓ the examined services are healthy: every check ran, and none found a problem",
            "  ? not examined: site (no diagnosis tree for services of kind folder)",
            "  ? not examined: gone (not installed here)",
            "  ? not examined: spare (a standby)",
        ],
    )
    found = json.loads(folder.run("diagnose", "--json").stdout)
    assert found["found"] == "healthy"
    assert found["not_examined"] == {
        "site": "no diagnosis tree for services of kind folder",
        "gone": "not installed here",
        "spare": "a standby",
    }
    assert "not examined" not in folder.run("diagnose", "app").stdout
    done = folder.run("diagnose", "site")
    assert done.returncode == 3
    assert "? unknown: nothing was examined (see `Diagnosis` in the documentation)" in done.stdout
    assert "? site: no diagnosis tree examines services of kind folder" in done.stdout


@pytest.mark.parametrize(("kind", "hint"), [("embedded", "lab.up"), ("docker", "lab.up --kind docker")])
def test_a_lab_that_is_down_is_named_with_the_command_that_starts_it(tmp_path, kind, hint):
    folder = Folder(tmp_path)
    (tmp_path / "drills" / "diagnosis").mkdir()
    (tmp_path / "drills" / "diagnosis" / "cache.yml").write_text(TREE)
    folder.environment["DRILLBOOK_LAB"] = str(tmp_path / "none")
    secret = "!lab_secret pg_app" if kind == "embedded" else f"!file {tmp_path}/none/secrets/cache"
    inventory = tmp_path / "inventory" / "lab.yml"
    inventory.write_text(
        f"environment: lab\nlab: {kind}\nhosts: {{{here(tmp_path)}}}\n"
        f"services: {{cache: {{kind: redis, host: controller, password: {secret}}}}}\n"
    )
    folder.run("trust", "--yes")
    for argv in (["diagnose"], ["diagnose", "cache", "--json"]):
        done = folder.run(*argv)
        assert (done.returncode, done.stdout) == (2, "")
        assert "cannot be read: No such file or directory" in done.stderr
        assert f"hint: the lab is not running: start it with `drillbook {hint}`\n" in done.stderr
    inventory.write_text(inventory.read_text().replace(f"lab: {kind}\n", "").replace("!lab_secret pg_app", "!file /nowhere"))
    folder.run("trust", "--yes")
    assert "lab.up" not in folder.run("diagnose").stderr


def test_an_unfinished_run_is_told_first_with_the_command_that_undoes_it(tmp_path):
    folder = Folder(tmp_path)
    folder.write(BREAK + "restore:\n" + step(["sleep", "60"]))
    (tmp_path / "drills" / "diagnosis").mkdir()
    (tmp_path / "drills" / "diagnosis" / "cache.yml").write_text(TREE)
    inventory = tmp_path / "inventory" / "lab.yml"
    cache = ", cache: {kind: redis, host: controller, address: 127.0.0.1, port: 1}}"
    inventory.write_text(inventory.read_text().replace("host: controller}}", "host: controller}" + cache))
    assert json.loads(folder.run("diagnose", "cache", "--json").stdout)["unfinished"] == []
    with started(folder, "sample") as program:
        program.kill()
    (run,) = [path.name for path in tmp_path.glob("reports/*-sample-*")]
    told = " ".join(folder.run("diagnose", "cache").stdout.split())
    undo = f"drillbook drill.recover {run}"
    said = f"✗ the unfinished run {run} of the drill sample changed controller (service app), and may be the cause"
    assert told.startswith(f"{said} undo its changes: {undo} examined: cache")
    found = json.loads(folder.run("diagnose", "cache", "--json").stdout)
    assert found["unfinished"] == [{"run": run, "drill": "sample", "service": "app", "hosts": ["controller"], "undo": undo}]
    assert folder.run("drill.recover", run).returncode == 0
    assert "unfinished" not in folder.run("diagnose", "cache").stdout


def test_a_terminal_says_at_once_how_many_services_are_examined(tmp_path):
    folder = Folder(tmp_path)
    (tmp_path / "drills" / "diagnosis").mkdir()
    (tmp_path / "drills" / "diagnosis" / "cache.yml").write_text(TREE)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        cache = f"{{kind: redis, host: controller, address: 127.0.0.1, port: {mute.getsockname()[1]}}}"
        (tmp_path / "inventory" / "lab.yml").write_text(
            f"environment: lab\nhosts: {{{here(tmp_path)}}}\nservices: {{cache: {cache}, spare: {cache}}}\n"
        )
        ours, theirs = pty.openpty()
        with folder.start("diagnose", stdout=theirs, stdin=subprocess.DEVNULL) as program:
            os.close(theirs)
            told = b""
            while b"\n" not in told:
                told += os.read(ours, 1000)
            assert "examining 2 services …" in told.decode()
            assert program.poll() is None, "the server has not answered yet"
            program.kill()
        os.close(ours)
        for argv in (["diagnose", "--within", "2s"], ["diagnose", "--json", "--within", "2s"]):
            assert "examining" not in folder.run(*argv).stdout
