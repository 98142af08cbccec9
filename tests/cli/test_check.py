"""`drill.check` reports all problems at once, and contacts no host where the drill is not allowed to run."""

import json
import os
import socket
import time

import pytest

from tests.program import Folder, step

CLOSED = "guard: {windows: [{from: '00:00', to: '00:01', zone: Etc/GMT+12}]}\n"


def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    text = (tmp_path / "inventory" / "lab.yml").read_text()
    away = f"hosts: {{away: {{address: 127.0.0.1, port: {unused_port()}, user: nobody, known_hosts: {tmp_path}/none}}, "
    (tmp_path / "inventory" / "lab.yml").write_text(text.replace("hosts: {", away))
    (tmp_path / "trusted").mkdir()
    return made


def test_all_that_is_missing_is_told_at_once(folder):
    probes = f"probes:\n  - http.available: {{url: 'http://127.0.0.1:{unused_port()}/', every: 1s}}\n"
    steps = step(["no-such-program-1"]) + step(["no-such-program-2"]) + step(["true"]).replace("controller", "away")
    playbook = "  - command.script: {path: /no/such/script, effect: write}\n    hosts: controller\n"
    folder.write(CLOSED + probes + "restore:\n" + steps + playbook)
    done = folder.run("drill.check", "sample")
    text = " ".join(done.stdout.split())
    assert done.returncode == 4, done.stdout
    for wrong in (
        "outside",
        "away",
        "a probe is not good before the fault",
        "'no-such-program-1' is not installed",
        "'no-such-program-2' is not installed",
        "the script /no/such/script cannot be read",
    ):
        assert wrong in text, (wrong, text)
    assert text.count("cannot connect to") == 2, (
        "in the sentence and above its remedy; the locks and the steps do not repeat it"
    )
    assert "`hosts.away.address` (inventory/lab.yml:" in text
    assert "✗ the drill would be refused" in text
    as_json = folder.run("drill.check", "sample", "--json")
    (found,) = json.loads(as_json.stdout)
    assert (as_json.returncode, found["exit"], found["ready"]) == (4, 4, False)
    said = " ".join(one["measured"] for one in found["findings"])
    assert all(wrong in said for wrong in ("no-such-program-1", "no-such-program-2", "/no/such/script"))


def test_in_a_forbidden_environment_no_command_is_run(folder):
    folder.write(
        "guard: {environments: [staging]}\nready:\n" + step(["touch", "DIR/ran"]) + "restore:\n" + step(["no-such-program"])
    )
    folder.environment["DRILLBOOK_TRUST"] = ""
    done = folder.run("drill.check", "sample")
    assert done.returncode == 4, done.stdout
    assert "no-such-program" not in done.stdout
    assert not (folder.root / "ran").exists()


def test_a_file_that_matches_the_pattern_but_is_no_backup_is_named(folder):
    kept = folder.root / "kept"
    kept.mkdir()
    (kept / "globals.sql").write_text(
        "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE clerk;\n--\n-- PostgreSQL database cluster dump complete\n--\n"
    )
    (kept / "shop.sql").write_text("--\n-- PostgreSQL database dump\n--\n")
    os.utime(kept / "shop.sql", (time.time() - 60,) * 2)
    path = folder.root / "inventory" / "lab.yml"
    path.write_text(f"{path.read_text()}\nbackups:\n  nightly: {{kind: pg_dump, host: controller, at: {kept}}}\n")
    folder.write("backup:\n  - backup.list: {service: nightly}\n")
    done = folder.run("drill.check", "sample")
    said = (
        "nightly leaves out globals.sql: only roles (pg_dumpall --globals-only), no database; set `backups.nightly.globals` "
    )
    assert said in " ".join(done.stdout.split()), done.stdout
    assert "✓ the drill could begin now" in done.stdout
    (found,) = json.loads(folder.run("drill.check", "sample", "--json").stdout)
    assert found["notes"][0].startswith(said)


def test_unset_passwords_of_sudo_and_of_later_drills_are_told_before_anything_is_touched(folder):
    path = folder.root / "inventory" / "lab.yml"
    database = (
        "database: {kind: postgres, host: controller, database: shop, user: shop, password: !env NOPE_ONE, "
        "admin: {user: postgres, socket: /nowhere}, data_directory: /nowhere}"
    )
    text = path.read_text().replace("services: {", f"services: {{{database}, ")
    path.write_text(text.replace("controller: {", "controller: {become: {user: root, password: !env NOPE_SUDO}, "))
    folder.write("ready:\n  - postgres.healthy: {service: database}\n", "second")
    folder.write("restore:\n" + step(["touch", "DIR/ran"], "become: false"), "first")
    (folder.root / "drills" / "both.yml").write_text("suite: both\ntitle: Both drills\ndrills: [first, second]\n")
    refused = folder.run("drill", "both")
    assert refused.returncode == 2, refused.stdout
    for name, place in (("NOPE_ONE", "services.database"), ("NOPE_SUDO", "hosts.controller.become")):
        said = f"{place}.password of the inventory: the environment variable {name} is not set"
        assert said in refused.stderr
        assert f"export {name}=..." in refused.stderr
        assert said in " ".join(folder.run("drill.check", "second").stdout.split())
    assert refused.stderr.splitlines()[-1] == "No drill was run."
    assert not (folder.root / "ran").exists()
    (found,) = json.loads(folder.run("drill.check", "second", "--json").stdout)
    assert found["exit"] == 2
    assert sum("NOPE_SUDO" in one["measured"] for one in found["findings"]) == 1


def test_all_unset_secrets_all_hosts_and_all_ready_steps_are_told_at_once(folder):
    path = folder.root / "inventory" / "lab.yml"
    database = (
        f"database: {{kind: postgres, host: controller, port: {unused_port()}, database: shop, user: shop, password: !env NOPE_ONE, "
        "admin: {user: postgres, password: !env NOPE_TWO}, data_directory: /nowhere}"
    )
    path.write_text(path.read_text().replace("services: {", f"services: {{{database}, "))
    dead = f"http://127.0.0.1:{unused_port()}"
    ready = [
        "- postgres.healthy: {service: database}",
        f"- http.responds: {{url: '{dead}/first'}}\n    save: answer",
        f"- http.responds: {{url: '{dead}/{{{{ answer.status }}}}'}}",
        f"- http.responds: {{url: '{dead}/second'}}",
    ]
    steps = step(["true"]).replace("controller", "away")
    folder.write("ready:\n" + "".join(f"  {line}\n" for line in ready) + "restore:\n" + steps)
    done = folder.run("drill.check", "sample")
    text = " ".join(done.stdout.split())
    assert done.returncode == 2, (done.stdout, done.stderr)
    for wrong in (
        "services.database.password of the inventory: the environment variable NOPE_ONE is not set",
        "services.database.admin.password of the inventory: the environment variable NOPE_TWO is not set",
        "cannot connect to",
        "/first",
        "/second",
    ):
        assert wrong in text, (wrong, text)
    assert text.count("an earlier step failed") == 1, "only the step that uses the answer is skipped"
    assert "✗ the drill would end with exit 2 before it begins" in text
    as_json = folder.run("drill.check", "sample", "--json")
    (found,) = json.loads(as_json.stdout)
    assert (as_json.returncode, found["exit"], found["ready"]) == (2, 2, False)
    said = [one["measured"] for one in found["findings"]]
    assert sum("NOPE_ONE" in text for text in said) == 1, said
    refused = folder.run("drill", "sample")
    assert refused.returncode == 2
    assert "NOPE_ONE" in refused.stderr
    assert "NOPE_TWO" in refused.stderr
