"""Files of a pull request run no code in a project that is only read, until somebody trusts that code."""

import json
import os
import shutil
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

from drillbook.sdk.host import Target
from tests.needs import need
from tests.systems.postgres import fixtures
from tests.trust.pull_request import GUARD, PROBE, READY, SECRET, STEP, PullRequest, answered

place = fixtures.place
READS = [
    ["drill.list"],
    ["drill.plan", "sample"],
    ["drill.check", "sample"],
    ["--dry", "drill", "sample"],
    ["--dry", "drill.check", "sample"],
    ["--dry", "drill.approve", "sample"],
    ["diagnose"],
    ["diagnose", "app"],
    ["diagnose", "--json"],
    ["schema", "drill"],
    ["actions"],
    ["report.list"],
    ["trust", "--show"],
    ["trust", "--show", "--json"],
    ["--dry", "trust", "--yes"],
    ["trust"],
    ["--complete", "--", "drillbook", "drill.check", ""],
    ["drill.stop"],
    ["drill.recover"],
    ["audit", "--since", "2026-01-01", "--until", "2026-12-31"],
]


@pytest.fixture
def request_(tmp_path):
    (tmp_path / "project").mkdir()
    made = PullRequest(tmp_path / "project")
    made.site()
    return made


@pytest.mark.parametrize("argv", READS, ids=" ".join)
def test_a_task_that_reads_runs_nothing_of_a_pull_request(request_, argv):
    request_.site(SECRET.format(request_.root))
    request_.tree({"host.disk": {"service": "{{ service.name }}", "path": "/"}})
    request_.write(GUARD + PROBE + READY + STEP)
    done = request_.run(*argv)
    assert "Traceback" not in done.stderr, done.stderr
    assert request_.marks == []
    assert not (request_.root / "done").exists()


def test_without_a_command_there_is_nothing_to_trust_only_if_all_was_examined(request_):
    said = request_.run("trust", "--show").stdout
    assert said == "read-only tasks execute no command of this project: there is nothing to trust\n"
    broken = request_.root / "drills" / "broken.yml"
    broken.write_text("drill: [\n")
    first, last = request_.run("trust", "--show").stdout.splitlines()
    assert first.startswith("? this file cannot be used, and was not examined: ")
    assert last == "no command was found in the files that could be examined"
    broken.unlink()
    (request_.root / "plugins" / "tool").mkdir(parents=True)
    (request_.root / "plugins" / "tool" / "__init__.py").write_text("")
    *above, last = request_.run("trust", "--show").stdout.splitlines()
    assert above[0].startswith("every task imports 1 plugin of ")
    assert last == "read-only tasks execute no command of this project"


@pytest.mark.parametrize(
    ("text", "secret", "line", "what"),
    [
        (READY, "!env NOWHERE", "drills/sample.yml:5", "command.run: touch"),
        (GUARD, "!env NOWHERE", "drills/sample.yml:6", "command.run: touch"),
        (PROBE, SECRET, "inventory/lab.yml:5", "!command: sh -c"),
    ],
    ids=["ready", "guard", "secret"],
)
def test_a_check_leaves_out_what_nobody_trusts_and_says_where_it_stands(request_, text, secret, line, what):
    request_.site(secret.format(request_.root))
    request_.environment["NOWHERE"] = "unrelated-word"
    request_.write(text + STEP)
    status, said = request_.check()
    assert status == 3, said
    assert request_.marks == []
    assert f"{line}: {what}" in said
    assert "drillbook trust" in said
    assert "nobody has trusted it yet" in said
    assert "✓" not in said
    assert "it is unknown if the drill could begin now" in said
    assert request_.check("harmless")[0] == 0, "what runs nothing of its own needs no trust"


@pytest.mark.parametrize("text", [READY, GUARD])
def test_what_is_trusted_is_run_as_before_until_a_character_of_it_changes(request_, text):
    request_.write(text + STEP)
    request_.trust()
    status, said = request_.check()
    assert status == 0, said
    assert "ran commands of the project: command.run" in said
    assert len(request_.marks) == 1
    (request_.root / request_.marks[0]).unlink()
    path = request_.root / "drills" / "sample.yml"
    path.write_text(path.read_text().replace("mark-", "mark-x"))
    status, said = request_.check()
    assert (status, request_.marks) == (3, [])
    assert "it has changed since it was trusted" in said
    path.write_text("# a line more\n" + path.read_text().replace("mark-x", "mark-"))
    assert request_.check()[0] == 0, "a line that it stands in is no change of it"


def test_a_trusted_secret_is_read(request_):
    request_.site(SECRET.format(request_.root))
    request_.write(PROBE + STEP)
    request_.trust()
    assert request_.check()[0] == 4, "there is no Redis"
    assert request_.marks == ["mark-secret"]


def test_something_worse_than_what_was_left_out_is_told_too(request_):
    request_.write(READY + "probes:\n  - tcp.open: {address: 127.0.0.1, port: 1}\n" + STEP)
    status, said = request_.check()
    assert (status, request_.marks) == (4, [])
    assert "drills/sample.yml:5: command.run" in said
    assert "the drill would be refused" in said


def test_a_step_that_sees_what_another_would_have_found_is_left_out_with_it(request_):
    request_.write(
        "ready:\n  - command.run: {argv: [touch, DIR/mark-ready], effect: read}\n    hosts: controller\n    save: seen\n"
        "  - tcp.open: {address: '{{ seen.stdout }}', port: 1}\n" + STEP
    )
    status, said = request_.check()
    assert (status, request_.marks) == (3, []), said
    assert "sample.yml:8: tcp.open: this step was left out too" in said


@pytest.mark.parametrize("task", [["drill", "sample"], ["drill.drill", "sample", "--json"]])
def test_starting_a_drill_is_trust_in_its_own_commands_and_secrets(request_, task):
    request_.site(SECRET.format(request_.root))
    request_.write(
        GUARD + READY + "restore:\n  - command.run: {argv: [touch, DIR/done], effect: read, "
        "env: {P: '{{ services.cache.password }}'}}\n    hosts: controller\n"
    )
    done = request_.run(*task)
    assert done.returncode == 0, done.stdout + done.stderr
    assert request_.marks == ["mark-guard", "mark-ready", "mark-secret"]
    assert (request_.root / "done").exists()
    assert request_.check()[0] == 3, "a run trusts nothing for later"


def test_the_variable_of_ci_is_the_digest_and_nothing_else(request_):
    request_.write(READY + STEP)
    right = request_.digest()
    for wrong in ("yes", "sha256:", right[:-1], right + "0", "sha256:" + "0" * 64):
        request_.environment["DRILLBOOK_TRUST"] = wrong
        status, said = request_.check()
        assert (status, request_.marks) == (3, []), wrong
        assert "DRILLBOOK_TRUST holds another digest" in said
    request_.environment["DRILLBOOK_TRUST"] = right
    assert request_.check()[0] == 0
    assert request_.marks == ["mark-ready"]
    request_.environment["DRILLBOOK_TRUST"] = "sha256:" + "0" * 64
    request_.trust()
    assert request_.check()[0] == 3, "where it is set, it alone counts"


def test_the_digest_is_the_same_in_another_folder_of_the_same_files(request_, tmp_path):
    request_.write((READY + GUARD + STEP).replace("DIR/", "/nowhere/"))
    request_.site("!command [pass, show, x]")
    digest = request_.digest()
    shutil.copytree(request_.root, tmp_path / "copy")
    request_.root = tmp_path / "copy"
    assert request_.digest() == digest


def test_trust_in_one_folder_is_none_in_another(request_, tmp_path):
    request_.write(READY + STEP)
    request_.trust()
    shutil.copytree(request_.root, tmp_path / "other")
    record = request_.record
    request_.root = tmp_path / "other"
    assert request_.check()[0] == 3
    assert request_.marks == []
    request_.run("trust", "--yes")
    (other,) = (one for one in record.parent.iterdir() if one != record)
    shutil.copy(record, other)
    status, said = request_.check()
    assert (status, request_.marks) == (3, [])
    assert "is damaged: the record belongs to another project" in said


@pytest.mark.parametrize(
    "damage",
    ["", "{", "null", "[]", '{"schema": 1}', "[" * 100_000, "\0", "{}", '{"schema": "drillbook/trust/1"}'],
    ids=range(9),
)
def test_a_damaged_record_is_no_trust(request_, damage):
    request_.write(READY + STEP)
    request_.trust()
    request_.record.write_text(damage)
    status, said = request_.check()
    assert (status, request_.marks) == (3, [])
    assert "is damaged" in said
    request_.trust()
    assert request_.check()[0] == 0


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "writable", "foreign"])
def test_a_record_that_is_no_private_file_is_no_trust(request_, tmp_path, kind):
    request_.write(READY + STEP)
    request_.trust()
    path = request_.record
    if kind == "writable":
        path.chmod(0o620)
    elif kind == "foreign":
        if os.geteuid():
            pytest.skip("only root gives files away")
        os.chown(path, 1, 1)
    else:
        path.rename(tmp_path / "kept")
        {"folder": path.mkdir, "link": lambda: path.symlink_to(tmp_path / "kept"), "pipe": lambda: os.mkfifo(path)}[kind]()
    status, said = request_.check()
    assert (status, request_.marks) == (3, [])
    assert str(path) in said


@pytest.mark.parametrize("part", ["drillbook/trust", "drillbook", "."])
def test_a_state_folder_that_others_may_change_is_no_trust(request_, part):
    request_.write(READY + STEP)
    request_.trust()
    folder = request_.root.parent / "project-state" / part
    folder.chmod(0o777)
    status, said = request_.check()
    assert (status, request_.marks) == (3, [])
    assert "other users can change" in said
    done = request_.run("trust", "--yes")
    assert done.returncode == 3
    assert "other users can change" in done.stderr
    folder.chmod(0o700)
    assert request_.check()[0] == 0


def test_a_state_folder_in_the_project_is_no_trust(request_):
    """As in a pipeline whose home is its checkout: an author of the project could write the record of trust."""
    request_.write(READY + STEP)
    request_.trust()
    shutil.copytree(request_.record.parents[2], request_.root / "state")
    request_.environment["XDG_STATE_HOME"] = str(request_.root / "state")
    status, said = request_.check()
    assert (status, request_.marks) == (3, [])
    assert "is in the project" in said
    assert request_.run("trust", "--yes").returncode == 3


def test_trust_is_shown_asked_for_and_taken_back(request_):
    need("script")
    request_.write(READY + STEP)
    done = request_.run("trust")
    assert done.returncode == 2
    assert "there is no terminal to ask at" in done.stderr
    assert "drills/sample.yml:5: command.run: touch" in done.stdout
    assert answered(request_, "trust", text="n\n").returncode == 4
    assert request_.check()[0] == 3
    done = answered(request_, "trust", text="y\n")
    assert done.returncode == 0, done.stdout
    assert request_.record.stat().st_mode & 0o777 == 0o600
    assert request_.check()[0] == 0
    assert "✓ trusted" in request_.run("trust").stdout
    assert request_.run("trust", "--revoke").returncode == 0
    assert request_.check()[0] == 3
    assert "this project was not trusted" in request_.run("trust", "--revoke").stdout


def test_what_has_changed_since_is_shown(request_):
    request_.write(GUARD + READY + STEP)
    request_.trust()
    request_.write(READY.replace("mark", "mark-other") + STEP)
    request_.site("!command [pass, show, x]")
    said = " ".join(request_.run("trust", "--show").stdout.split())
    assert "~ changed: drills/sample.yml:5: command.run: touch" in said
    assert "+ new: inventory/lab.yml:5: !command: pass show x" in said
    assert "- gone: drills/sample.yml:6: command.run: touch" in said
    assert "not trusted: it has changed since" in said


def test_nothing_that_is_shown_is_cut_off_or_obeyed_by_a_terminal(request_):
    text = "echo " + "x" * 3000 + "; rm -rf /\x1b[2K\r\u202e"
    (request_.root / "drills" / "sample.yml").write_text(
        "drill: sample\ntitle: x\nservice: app\nready:\n  - command.run: "
        + json.dumps({"argv": ["sh", "-c", text], "effect": "read"})
        + "\n    hosts: controller\nverify:\n  - tcp.open: {address: x, port: 1}\n"
    )
    for done in (request_.run("trust", "--show"), request_.run("drill.check", "sample")):
        assert "rm -rf /\\x1b[2K\\x0d\\u202e" in done.stdout.replace("\n", "")
        assert "\x1b[2K" not in done.stdout
    assert json.loads(request_.run("trust", "--show", "--json").stdout)["items"][0]["text"].count("x") >= 3000


@pytest.mark.parametrize("how", ["!command", "argv", "shell", "stdin"])
def test_a_script_of_the_project_is_part_of_the_command_that_names_it(request_, how):
    script = request_.root / "tools" / "look.sh"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\ntouch {request_.root}/mark-first\necho secret-word\n")
    script.chmod(0o755)
    argv = {
        "argv": "[./tools/look.sh]",
        "shell": f"[sh, -c, 'cd / && {script} x']",
        "stdin": "[sh]",
        "!command": "['true']",
    }[how]
    more = ", stdin: '. tools/look.sh'" if how == "stdin" else ""
    request_.site("!command [tools/look.sh]" if how == "!command" else "!env NOWHERE")
    request_.environment["NOWHERE"] = "unrelated-word"
    request_.write(
        (PROBE if how == "!command" else "") + f"ready:\n  - command.run: {{argv: {argv}, effect: read, cwd: DIR{more}}}\n"
        "    hosts: controller\n" + STEP
    )
    request_.trust()
    assert request_.check()[0] == (4 if how == "!command" else 0), "there is no Redis"
    assert request_.marks == ["mark-first"]
    script.write_text(f"#!/bin/sh\ntouch {request_.root}/mark-second\necho secret-word\n")
    assert request_.check()[0] == 3
    assert request_.marks == ["mark-first"]


def test_a_command_on_another_host_is_another_command(request_):
    request_.site(more="contacts: {}\n")
    path = request_.root / "inventory" / "lab.yml"
    path.write_text(path.read_text().replace("hosts: {", "groups: {g: [controller]}\nhosts: {b: {address: 192.0.2.1}, "))
    request_.write(READY.replace("controller", "g") + STEP)
    before = request_.digest()
    path.write_text(path.read_text().replace("[controller]", "[b]"))
    moved = request_.digest()
    path.write_text(path.read_text().replace("192.0.2.1", "192.0.2.2"))
    assert len({before, moved, request_.digest()}) == 3


def test_an_inventory_outside_the_project_is_trusted_by_itself(request_, tmp_path):
    request_.write(PROBE + STEP)
    site = tmp_path / "elsewhere.yml"
    request_.site(SECRET.format(request_.root))
    (request_.root / "inventory" / "lab.yml").rename(site)
    request_.site()
    request_.trust()
    status, said = request_.check("sample", "--inventory", str(site))
    assert (status, request_.marks) == (3, []), said
    assert request_.run("trust", "--yes", "--inventory", str(site)).returncode == 0
    assert request_.check("sample", "--inventory", str(site))[0] == 4, "there is no Redis"
    assert request_.marks == ["mark-secret"]


def test_a_dead_dialogue_with_a_secret_holds_up_nobody(request_):
    request_.site("!command [sleep, '600']")
    request_.write(PROBE + STEP)
    begun = time.monotonic()
    assert request_.check()[0] == 3
    assert time.monotonic() - begun < 600, "before the secret's command ends by itself"


def test_a_diagnosis_asks_nobody_when_a_secret_was_left_out(request_):
    request_.site(SECRET.format(request_.root))
    request_.tree({"redis.healthy": {"service": "{{ service.name }}"}}, kind="redis")
    for options in ([], ["--json"]):
        done = request_.run("diagnose", "cache", *options)
        assert done.returncode == 3, done.stdout
        said = " ".join(done.stdout.split())
        assert "inventory/lab.yml:5: !command could not be examined and was left out" in said
        assert "drillbook trust" in said
    assert request_.marks == []
    assert request_.run("diagnose", "app").returncode == 3, "no tree examines it"
    request_.trust()
    request_.run("diagnose", "cache")
    assert request_.marks == ["mark-secret"]


def test_a_statement_of_the_project_is_not_run_by_a_server(place, request_):
    """As superuser it can run any program on the server's host: `COPY ... TO PROGRAM`."""
    cluster = place.place("asked")
    cluster.create()
    cluster.start()
    cluster.sql("CREATE DATABASE dpa", database="postgres")
    service = cluster.service.model_dump(mode="json", exclude={"name", "password", "admin", "host"})
    request_.environment["ADMIN"] = "top-secret-admin"
    request_.site(
        more="  db: "
        + json.dumps({**service, "host": "controller", "database": "dpa"})[:-1]
        + ", admin: {user: postgres, password: !env ADMIN}}\n"
    )
    evil = {"service": "db", "as": "admin", "query": f"COPY (SELECT 1) TO PROGRAM 'touch {request_.root}/mark-sql'"}
    request_.tree({"postgres.sql": evil}, kind="postgres")
    request_.write("ready:\n  - postgres.sql: " + json.dumps(evil) + "\n" + STEP)
    status, said = request_.check()
    assert (status, request_.marks) == (3, []), said
    assert "drills/sample.yml:5: postgres.sql: COPY" in said
    done = request_.run("diagnose", "db", "--json")
    assert (done.returncode, request_.marks) == (3, []), done.stdout
    assert "drills/diagnosis/hostile.yml:5: postgres.sql" in " ".join(json.loads(done.stdout)["why"])
    request_.trust()
    assert request_.check()[0] == 0
    assert request_.marks == ["mark-sql"]
    (request_.root / "mark-sql").unlink()
    request_.run("diagnose", "db")
    assert request_.marks == ["mark-sql"]


@pytest.mark.parametrize(
    ("text", "line"),
    [("probes:\n  - PROBE\n", 5), ("guard:\n  abort_if:\n    - PROBE\n", 6)],
    ids=["probe", "guard"],
)
def test_a_query_of_a_probe_is_not_run_by_a_server(place, request_, text, line):
    cluster = place.place(f"probed-{line}")
    cluster.create()
    cluster.start()
    service = cluster.service.model_dump(mode="json", exclude={"name", "password", "admin", "host", "user"})
    request_.environment["ADMIN"] = "top-secret-admin"
    request_.site(
        more="  db: "
        + json.dumps({**service, "host": "controller", "database": "postgres", "user": "postgres"})[:-1]
        + ", password: !env ADMIN, admin: {user: postgres, password: !env ADMIN}}\n"
    )
    request_.write(text.replace("PROBE", "postgres.available: {service: db}") + STEP)
    assert request_.check()[0] == 0, "the query that ships needs no trust"
    evil = {"service": "db", "query": f"COPY (SELECT 1) TO PROGRAM 'touch {request_.root}/mark-probe'"}
    request_.write(text.replace("PROBE", f"postgres.available: {json.dumps(evil)}") + STEP)
    status, said = request_.check()
    assert (status, request_.marks) == (3, []), said
    assert f"drills/sample.yml:{line}: postgres.available: COPY" in said
    request_.trust()
    request_.check()
    assert request_.marks == ["mark-probe"]


@pytest.mark.parametrize(
    "config", ['Match exec "true %h %r"\n', "Host *\n  ProxyCommand sh -c 'true %h %r'\n"], ids=["match", "proxy"]
)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", "x; touch MARK"),
        ("address", "$(touch MARK)"),
        ("address", "x\ntouch MARK"),
        ("address", "-oProxyCommand=touch MARK"),
        ("user", "x; touch MARK"),
        ("user", "`touch MARK`"),
        ("user", "x\ntouch MARK"),
        ("user", "x -oProxyCommand=y"),
        ("name", "x; touch MARK"),
        ("name", "$(touch MARK)"),
    ],
    ids=range(10),
)
def test_no_address_or_user_is_a_command_of_the_operators_ssh_config(request_, config, field, value):
    """Paramiko inserts them into commands of ~/.ssh/config, as ssh(1) did before it refused such names."""
    home = request_.root.parent / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "config").write_text(config)
    request_.environment["HOME"] = str(home)
    value = value.replace("MARK", f"{request_.root}/mark-ssh")
    fields = {} if field == "name" else {"address": "127.0.0.1", field: value}
    name = value if field == "name" else "far"
    request_.site()
    path = request_.root / "inventory" / "lab.yml"
    path.write_text(
        path.read_text().replace("hosts: {", f"hosts: {{{json.dumps(name)}: {json.dumps({'port': 1, **fields})}, ")
    )
    request_.write("guard: {hosts: all}\n" + STEP.replace("controller", "all"))
    for task in (["drill.check", "sample"], ["drill.stop"]):
        done = request_.run(*task)
        assert request_.marks == []
        assert done.returncode == 2, done.stdout + done.stderr
        assert "inventory/lab.yml:2:" in done.stderr


@pytest.mark.parametrize(
    "address", ["db-1", "10.0.0.7", "fe80::1%eth0", "[::1]", "db_1.example.com", "数据库.example.com", ""]
)
@pytest.mark.parametrize("user", ["drill", "DOMAIN\\\\jane", "jane@example.com", "ci.runner$"])
def test_ordinary_addresses_and_users_are_accepted(address, user):
    assert Target(name="far", address=address, user=user.replace("\\\\", "\\")).address == address


def test_a_tool_of_the_project_is_not_executed_in_place_of_the_servers_own(request_):
    tools = request_.root / "tools"
    tools.mkdir()
    for name in ("pg_dump", "pg_dumpall", "psql", "py-spy"):
        (tools / name).write_text(f"#!/bin/sh\ntouch {request_.root}/mark-{name}\n")
        (tools / name).chmod(0o755)
    request_.environment["ADMIN"] = "unrelated-word"
    request_.site(
        more=f"""  db: {{kind: postgres, host: controller, port: 1, database: d, user: d, data_directory: /d, bin: {tools},
       admin: {{user: a, password: !env ADMIN}}}}
  store: {{kind: s3, host: controller, endpoint: "http://127.0.0.1:1", bucket: bucket-a, access_key: !env ADMIN, secret_key: !env ADMIN}}
"""
    )
    request_.write("backup:\n  - postgres.dump: {service: db, to: 's3://bucket-a/x'}\n" + STEP)
    status, said = request_.check()
    assert (status, request_.marks) == (3, []), said
    assert f"inventory/lab.yml:1: tool: {tools}" in said
    request_.trust()
    assert request_.check()[0] == 4, "there is no server"
    before = request_.digest()
    (tools / "pg_dump").write_text("#!/bin/sh\nexit 1\n")
    assert request_.digest() != before
    request_.write(
        f"ready:\n  - process.stacks: {{port: 1, program: {tools}/py-spy}}\n    hosts: controller\n" + STEP, "looking"
    )
    status, said = request_.check("looking")
    assert status == 3, said
    assert "drills/looking.yml:5: process.stacks" in said
    assert "mark-py-spy" not in request_.marks


def test_a_health_command_of_the_inventory_is_executed_once_it_is_trusted(request_):
    command = f"[sh, -c, 'touch {request_.root}/mark-health']"
    request_.site(more=f"  queue: {{kind: command, host: controller, check: {command}}}\n")
    request_.write("ready:\n  - command.check: {service: queue}\n" + STEP)
    status, said = request_.check()
    assert (status, request_.marks) == (3, []), said
    assert "inventory/lab.yml:1: health command: sh -c" in said
    request_.trust()
    status, said = request_.check()
    assert (status, request_.marks) == (0, ["mark-health"]), said
    before = request_.digest()
    request_.site(more=f"  queue: {{kind: command, host: controller, check: {command.replace('touch', 'touch -c')}}}\n")
    assert request_.digest() != before


def test_the_program_loads_no_python_of_the_folder_that_it_is_called_in(request_):
    """Like ``invoke``, which executes `tasks.py`, and `invoke.py` for its configuration."""
    for name in ("tasks", "invoke", "drillbook", "rich", "yaml", "sitecustomize"):
        (request_.root / f"{name}.py").write_text(f"open({str(request_.root)!r} + '/mark-{name}', 'w')\n")
    request_.write(STEP)
    program = str(Path(sysconfig.get_path("scripts")) / "drillbook")
    for argv in (["drill.list"], ["drill.check", "sample"], ["trust", "--show"]):
        done = subprocess.run(
            [program, *argv],
            cwd=request_.root,
            env=request_.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, request_.marks) == (0, []), done.stderr
