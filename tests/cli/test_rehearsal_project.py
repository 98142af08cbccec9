"""New project for rehearsals of backups: its files, its refusals, and a rehearsal of a real database dump over SSH."""

import io
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from drillbook.catalog import entries
from drillbook.cli import rehearsal_project, scaffold
from drillbook.cli.rehearsal_project import Answers
from drillbook.errors import UsageError
from drillbook.lab import control, database
from drillbook.plan import planner
from drillbook.project import schedules
from drillbook.project.project import Project
from drillbook.sdk import rehearsal
from tests.program import PROGRAM, Folder


@pytest.mark.parametrize("kind", rehearsal.names())
def test_the_files_of_each_kind_are_right(tmp_path, kind, monkeypatch):
    monkeypatch.setenv("RESTIC_PASSWORD", "x")
    scaffold.init(
        tmp_path,
        Answers(
            kind,
            host="me@db1.example.org:2222",
            at="main" if kind == "pgbackrest" else "/b",
            sandbox="[::1]",
            database="shop",
        ),
    )
    project = Project(tmp_path)
    inventory = project.inventory("rehearsal")
    assert not inventory.is_protected
    assert inventory.hosts["backups-1"].address == "db1.example.org"
    assert (inventory.hosts["backups-1"].user, inventory.hosts["backups-1"].port) == ("me", 2222)
    assert inventory.hosts["spare-1"].address == "::1"
    plan = planner.make(project.drill("rehearse"), inventory)
    assert [step.action for step in plan.steps][:2] == ["backup.check", "backup.restore"]
    whole(project)
    assert len(planner.make(project.drill("rehearse"), project.inventory("rehearsal")).steps) >= len(plan.steps)


@pytest.mark.parametrize("later", [False, True], ids=["at-once", "later"])
def test_the_drill_of_own_backups_stays_beside_the_suite_of_the_catalogue(tmp_path, later):
    answers = Answers("postgres", host="db1", at="/b", sandbox="spare", database="shop")
    if later:
        scaffold.init(tmp_path, answers)
        scaffold.init(tmp_path, names=["rehearsal"])
    else:
        scaffold.init(tmp_path, answers, ["rehearsal"])
    project = Project(tmp_path)
    (drill,) = re.findall(r"drillbook drill (\S+) --inventory rehearsal", (tmp_path / ".gitlab-ci.yml").read_text())
    assert project.drill(drill).head.service == "nightly", "CI rehearses the team's backups"
    assert "rehearse-database" in project.drill("rehearsal").drills
    made = [path for path in rehearsal_project.contents(answers, "drillbook", {}) if path.startswith("drills/")]
    assert not {Path(path).stem for path in made} & {entry.name for entry in entries.entries()}


def test_the_next_steps_begin_with_the_check_and_end_with_ci(tmp_path, capsys):
    scaffold.init(tmp_path, Answers("postgres", host="db1", at="/b", sandbox="spare", database="shop"))
    said = capsys.readouterr().out.partition("Next")[2]
    commands = [line.strip() for line in said.splitlines() if line.strip().startswith("drillbook ")]
    assert commands[:2] == [f"drillbook drill{one} rehearse --inventory rehearsal" for one in (".check", "")]
    assert "later: write the URL of Drillbook into requirements.in" in said
    assert max(map(len, said.splitlines())) <= 100, "words are not broken by the terminal"


@pytest.mark.parametrize(
    ("host", "sandbox"), [("me@db1", "me@DB1"), ("controller", "controller"), ("db1", "spare"), ("", "")]
)
def test_a_sandbox_on_the_host_of_the_backups_is_explained(tmp_path, capsys, host, sandbox):
    scaffold.init(tmp_path, Answers("postgres", host=host, at="/b", sandbox=sandbox, database="shop"))
    said = " ".join(capsys.readouterr().out.split())
    same = bool(host) and host.lower() == sandbox.lower()
    assert ("The backups are restored on the host that has them. This is safe for them" in said) == same


@pytest.mark.parametrize(
    ("host", "hint"), [("controller", "/home/otto/backups"), ("db1", "write the whole path on that host")]
)
def test_a_place_in_a_home_folder_is_refused_before_anything_is_written(tmp_path, host, hint, monkeypatch):
    """No shell expands it: a quoted option, or an answer at the prompt."""
    monkeypatch.setenv("HOME", "/home/otto")
    with pytest.raises(UsageError, match="'~/backups' begins with `~`") as error:
        scaffold.init(tmp_path / "new", Answers("postgres", host=host, at="~/backups", sandbox="spare", database="shop"))
    assert hint in error.value.hint
    assert not (tmp_path / "new").exists()


def test_hints_name_the_field_of_a_backup_and_of_its_sandbox_with_its_line(tmp_path):
    scaffold.init(tmp_path, Answers("postgres", host="db1", at="/b", sandbox="spare", database="shop"))
    path = tmp_path / "inventory" / "rehearsal.yml"

    def told(name):
        """Field and text of the line that a hint names."""
        setting = Project(tmp_path).inventory("rehearsal").services[name].setting("bin")
        field, _, place = setting.partition(" ")
        assert place.startswith("(inventory/rehearsal.yml:")
        number = int(place.removesuffix(")").rpartition(":")[2])
        return field, path.read_text().splitlines()[number - 1].split("#")[0].strip()

    assert (told("nightly"), told("copy")) == (("`backups.nightly.bin`", "nightly:"), ("`services.copy.bin`", "copy:"))
    assert path.read_text().count("#    bin: ") == 2
    path.write_text(path.read_text().replace("#    bin: ", "    bin: "))
    assert told("nightly") == ("`backups.nightly.bin`", "bin: /usr/lib/postgresql/17/bin")


HOSTS = ("", "controller", "db1", "me@db1", "you@db1", "db1:22", "DB1", "localhost", "127.0.0.1", "[::1]", "root@db1")


@pytest.mark.parametrize("sandbox", HOSTS)
@pytest.mark.parametrize("host", HOSTS)
def test_the_inventory_of_every_two_hosts_can_be_loaded(tmp_path, host, sandbox):
    scaffold.init(tmp_path, Answers("postgres", host=host, at="/b", sandbox=sandbox, database="shop"))
    inventory = Project(tmp_path).inventory("rehearsal")
    backups, copy = (inventory.hosts[inventory.services[name].host] for name in ("nightly", "copy"))
    assert (backups.local, copy.local) == (host == "controller", sandbox == "controller")
    same = host == sandbox != "" or {host, sandbox} == {"db1", "DB1"}
    assert len(inventory.hosts) == (1 if same else 2)
    assert inventory.services["copy"].sandbox.data_may_leave == (sandbox == "controller")


def whole(project):
    """Commented-out lines that are fields or steps are valid, too, when the comment marks are removed."""
    for path in (project.root / "inventory" / "rehearsal.yml", project.root / "drills" / "rehearse.yml"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line[1:] if line.startswith("#  ") and " drill" not in line else line for line in lines))


@pytest.mark.parametrize(
    ("sandbox", "line"), [("root@spare", "    run_as: postgres"), ("drill@spare", "#    run_as: postgres")]
)
def test_a_sandbox_that_is_reached_as_root_has_another_user_for_its_server(tmp_path, sandbox, line):
    scaffold.init(tmp_path, Answers("postgres", host="db1", at="/b", sandbox=sandbox, database="shop"))
    assert f"\n{line} " in (tmp_path / "inventory" / "rehearsal.yml").read_text()
    assert Project(tmp_path).inventory("rehearsal").services["copy"].run_as == ("postgres" if line[0] == " " else "")


def test_a_missing_answer_is_a_word_in_capitals_that_is_named(tmp_path, capsys):
    scaffold.init(tmp_path, Answers("files"))
    assert "replace BACKUPS_HOST, PLACE, SANDBOX_HOST in inventory/rehearsal.yml" in " ".join(
        capsys.readouterr().out.split()
    )
    text = (tmp_path / "inventory" / "rehearsal.yml").read_text()
    assert all(word in text for word in ("BACKUPS_HOST", "PLACE", "SANDBOX_HOST"))


def test_at_a_terminal_the_missing_answers_are_asked_for(monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal())
    replies = iter(["/dumps", "", "shop"])
    found = rehearsal_project.asked(Answers("postgres", host="db1"), lambda _: next(replies))
    assert found == Answers("postgres", host="db1", at="/dumps", database="shop")
    assert rehearsal_project.blanks(found) == ["SANDBOX_HOST"]


def test_a_question_is_asked_again_after_an_answer_of_the_wrong_form(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", Terminal())
    replies = iter(["/backups", "db1", "backups", "/backups", "/srv", "spare", ""])
    answers = rehearsal_project.asked(Answers("postgres"), lambda _: next(replies))
    assert answers == Answers("postgres", "db1", "/backups", "spare", "")
    said = " ".join(capsys.readouterr().out.split())
    for wrong in ("'/backups' is not an address", "'backups' is not an absolute path", "'/srv' is not an address"):
        assert wrong in said, "at once, and the other answers are kept"


def test_at_a_terminal_without_options_the_kind_of_system_is_asked_for(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.stdin", Terminal())
    replies = iter(["postgress", "mysql", "postgres"])
    assert rehearsal_project.kind_asked(lambda _: next(replies)) == "postgres"
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("This makes a new project. Press Enter for a project with a first drill on the lab.")
    assert (
        "your own backups, type the kind of the backups: files, mariadb, pgbackrest, postgres, redis, restic, sqlite. kind, or Enter:"
        in said
    )
    assert "there is no kind of backup 'postgress'. did you mean 'postgres'?" in said
    assert "there is no kind of backup 'mysql'. did you mean 'mariadb'?" in said
    assert rehearsal_project.kind_asked(lambda _: " ") == ""
    monkeypatch.setattr("sys.stdin", io.StringIO("postgres\n"))
    assert rehearsal_project.kind_asked() == "", "there is no terminal"


def test_a_system_of_another_name_is_answered_with_its_kind():
    with pytest.raises(UsageError, match="did you mean 'mariadb'"):
        rehearsal_project.answered("mysql")


@pytest.mark.parametrize(("typed", "made"), [("files\nbackup@db1\n/b\nspare\n", "rehearsal.yml"), ("\n", "lab.yml")])
def test_init_at_a_terminal_makes_the_project_that_was_asked_for(tmp_path, typed, made):
    import pty

    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    done = subprocess.run(
        [*PROGRAM, "init", "new"], cwd=tmp_path, stdin=theirs, capture_output=True, text=True, check=False, timeout=60
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "new" / "inventory" / made).is_file()
    assert done.stdout.startswith("This makes a new project. Press Enter for a project with a first drill on the lab.")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (Answers("oracle"), "'oracle' cannot be rehearsed"),
        (Answers("files", host="a b"), "'a b' is not an address"),
        (Answers("files", sandbox="db:99999"), "'db:99999' is not an address"),
        (Answers("files", host="a: {x}"), "is not an address"),
    ],
)
def test_a_wrong_answer_is_refused_and_nothing_is_written(tmp_path, answers, words):
    with pytest.raises(UsageError, match=words):
        scaffold.init(tmp_path / "new", answers)
    assert not (tmp_path / "new").exists()


def test_a_place_cannot_become_a_part_of_the_inventory(tmp_path):
    scaffold.init(tmp_path, Answers("files", host="a", sandbox="b", at='/x", kind: "pg_dump\n$host'))
    assert Project(tmp_path).inventory("rehearsal").services["nightly"].at == '/x", kind: "pg_dump\n$host'


def test_the_help_names_every_kind(tmp_path):
    said = " ".join(Folder(tmp_path).run("--help", "init").stdout.split())
    named = said.partition("rehearse your own backups of: ")[2].partition(" --")[0]
    assert named.replace(" or ", ", ").split(", ") == rehearsal.names()
    asked = [name for name in rehearsal.names() if rehearsal.of(name).question]
    place = said.partition("place of the backups: ")[2].partition(" --")[0]
    assert re.findall(r"for (\w+):", place) == asked == ["pgbackrest"]


def test_options_of_a_rehearsal_need_one():
    with pytest.raises(UsageError, match="--at can be used only together with --rehearse"):
        rehearsal_project.answered("", host="", at="/x", sandbox="", database="")
    assert rehearsal_project.answered("", host="", at="", sandbox="", database="") is None


@pytest.fixture(scope="module")
def lab():
    folder = Path(f"/var/tmp/dbk-rehearse-{os.getpid()}")
    control.up(folder)
    yield folder
    control.down(folder)


def dump(lab, path, *options):
    """Dump of the lab's database, as a nightly job takes it."""
    password = Path(str(control.lookup(lab, "secrets.pg_admin"))).read_text()
    connection = f"host=127.0.0.1 port={control.lookup(lab, 'postgres.db-1')} user=postgres dbname=dpa"
    subprocess.run(
        [database.binaries() / "pg_dump", "-Fc", f"--file={path}", "-d", connection, *options],
        check=True,
        env={**os.environ, "PGPASSWORD": password},
    )


def test_a_dump_of_a_database_is_rehearsed_over_ssh_by_two_commands(tmp_path, lab):
    """The hosts are two hosts of the lab, named in ~/.ssh/config as in a team's setup."""
    home, dumps = tmp_path / "home", tmp_path / "dumps"
    (home / ".ssh").mkdir(parents=True)
    dumps.mkdir()
    (home / ".ssh" / "config").write_text(
        "".join(
            f"Host {name}\n HostName 127.0.0.1\n Port {control.lookup(lab, f'ssh.{name}')}\n User {control.lookup(lab, 'user')}\n"
            f" IdentityFile {control.lookup(lab, 'identity')}\n UserKnownHostsFile {control.lookup(lab, 'known_hosts')}\n"
            for name in ("db-1", "db-2")
        )
    )
    dump(lab, dumps / "dpa.dump")
    environment = {**os.environ, "HOME": str(home)}

    def run(folder, *argv):
        return subprocess.run(
            [*PROGRAM, *argv],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    answers = ["--host", "db-1", "--sandbox", "db-2", "--at", str(dumps), "--database", "dpa"]
    made = run(tmp_path, "init", "own", "--rehearse", "postgres", *answers)
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "own"
    inventory = folder / "inventory" / "rehearsal.yml"
    inventory.write_text(
        inventory.read_text().replace('"}  #', '", lease: {boot: none}}  #'), "utf-8"
    )  # no init system here
    done = run(folder, "drill", "rehearse", "--inventory", "rehearsal")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((folder / "reports/latest/result.json").read_text())
    assert result["verdict"] == "passed"
    said = "The restored content was not compared with anything: add a step such as postgres.compare to the phase verify"
    assert said in " ".join(done.stdout.split())
    assert "tables that are missing in the dump together with their definitions" in (
        folder / "reports/latest/report.md"
    ).read_text().replace("\\", "")
    assert not list(Path("/var/tmp").glob("drillbook-sandbox-copy"))
    drill = folder / "drills" / "rehearse.yml"
    step = re.search(r"^#(  - loss\.measure: .*)\n#(.*name: .*)\n", drill.read_text(), re.MULTILINE)
    assert step is not None, "the drill offers a measurement by the data itself"
    switched_on = f"{step[1]}\n{step[2]}\n".replace("orders", "documents")
    drill.write_text(drill.read_text().replace(step[0], switched_on), "utf-8")
    done = run(folder, "drill", "rehearse", "--inventory", "rehearsal")
    assert done.returncode == 0, done.stdout + done.stderr
    report = (folder / "reports/latest/report.md").read_text()
    losses = report.partition("\n## What would be lost\n")[2].partition("\n## ")[0]
    assert "How much would be lost now" in losses
    assert "by the newest order in the copy" in losses, "both losses are side by side"
    assert "created_at" in losses.replace("\\", "")
    dump(lab, dumps / "dpa.dump", "--exclude-table-data=documents")
    done = run(folder, "drill", "rehearse", "--inventory", "rehearsal")
    assert done.returncode == 1, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "critical backup-incomplete: " in said
    assert "only the definitions of 1 table: public.documents" in said
    assert "name the tables and the reason in `backups.nightly.without_data` (inventory/rehearsal.yml:" in said


@pytest.fixture
def own(tmp_path):
    """A project that `init` made for archives on this machine. The result runs the program in it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "page").write_text("text")
    subprocess.run(["tar", "-czf", tmp_path / "data-1.tar.gz", "-C", tmp_path, "data"], check=True)

    def run(*argv, folder=tmp_path / "own"):
        return subprocess.run(
            [*PROGRAM, *argv], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    places = ["--host", "controller", "--sandbox", "controller", "--at", str(tmp_path)]
    made = run("init", "own", "--rehearse", "files", *places, folder=tmp_path)
    assert made.returncode == 0, made.stderr
    path = tmp_path / "own" / "inventory" / "rehearsal.yml"
    host = f"{{local: true, scratch: {tmp_path}/scratch, lease: {{boot: none}}}}"
    path.write_text(path.read_text().replace("{local: true}", host))
    return run


def test_after_the_first_success_nothing_lacks_a_run_or_a_schedule(own, tmp_path):
    """A new project has one schedule, and the command that `init` printed keeps it."""
    assert [each.name for each in schedules.read(Project(tmp_path / "own")) if each.every] == ["rehearse"]
    done = own("drill", "rehearse", "--inventory", "rehearsal")
    assert done.returncode == 0, done.stdout + done.stderr
    due = own("drill.due")
    assert (due.returncode, due.stdout.splitlines()[-1]) == (0, "1 schedule: 1 ok")
    assert "without a schedule" not in due.stdout
    assert own("audit").returncode in (0, 1)
    pages = [*(tmp_path / "own" / "reports").glob("audit-*/*.*"), tmp_path / "own" / "reports" / "index.html"]
    assert len(pages) > 2
    assert [
        path.name for path in pages if re.search(r"\d (?:drill|suite)s? never ran", path.read_text(errors="replace"))
    ] == []


@pytest.mark.parametrize(
    ("kind", "at", "message"),
    [
        ("pgbackrest", "/var/backups/x", "'/var/backups/x' is not the name of a stanza"),
        ("pgbackrest", "~/x", "is not the name of a stanza"),
        *((kind, "relative/path", "is not an absolute path") for kind in rehearsal.names() if kind != "pgbackrest"),
    ],
)
def test_a_place_that_the_inventory_cannot_have_is_refused(tmp_path, kind, at, message):
    with pytest.raises(UsageError, match=message) as caught:
        scaffold.init(tmp_path / "p", Answers(kind, host="a", sandbox="b", at=at))
    assert caught.value.exit_status == 2
    assert f"such as {rehearsal_project._kind(kind).at}" in caught.value.hint
    assert not (tmp_path / "p" / "inventory").exists()


@pytest.mark.parametrize("kind", rehearsal.names())
def test_the_example_of_a_place_makes_an_inventory_that_can_be_read(tmp_path, kind):
    scaffold.init(tmp_path, Answers(kind, host="a", sandbox="b", at=rehearsal_project._kind(kind).at, database="shop"))
    assert "nightly" in Project(tmp_path).inventory("rehearsal").services


def test_the_stanza_is_asked_for_by_its_name(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", Terminal())
    answers = rehearsal_project.asked(Answers("pgbackrest", host="a", sandbox="b", database="d"), lambda _: "main")
    assert answers.at == "main"
    assert "Name of the stanza in pgbackrest.conf on this host (such as main):" in capsys.readouterr().out
