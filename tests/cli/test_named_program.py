"""Commands suggested by messages and pages begin with the name of the called program."""

import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from drillbook.cli import scaffold
from drillbook.installation.program_name import TASKS, as_called
from tests.cli.test_tasks import UNDOABLE
from tests.program import VERIFY, Folder, step

NAMES = re.compile(rf"\b(invoke|drillbook) (?:{'|'.join(TASKS)})\b")
PAGES = (
    "index.html",
    "latest/report.html",
    "latest/report.md",
    "latest/result.json",
    "audit-2020-01-01-2099-12-31/audit.html",
)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def invoke(folder, *argv):
    """Run the program `invoke` in ``folder``."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("invoke")), *argv],
        cwd=folder.root,
        env=folder.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def named(text):
    return set(NAMES.findall(text))


def dead(folder):
    """Copy of the newest run, with a journal that ends after the injection of the fault."""
    of = folder.latest
    copy = of.with_name(of.name[:-4] + "dead")
    copy.mkdir()
    lines = (of / "journal.jsonl").read_text().splitlines(keepends=True)
    end = next(number for number, line in enumerate(lines) if '"kind":"fault.active"' in line)
    (copy / "journal.jsonl").write_text("".join(lines[: end + 1]))
    return copy


def test_after_changes_that_were_not_undone(folder):
    folder.write(UNDOABLE + "restore:\n" + step(["true"]))
    done = folder.run("drill", "sample")
    assert done.returncode == 5
    copy = dead(folder)
    shown = [done.stdout, folder.run("report.verify", copy.name).stdout, folder.run("drill.list").stdout]
    shown.append(folder.run("report").stdout)
    assert folder.run("drill", "sample").returncode == 4, "the dead run is in the way"
    folder.run("audit", "--since", "2020-01-01", "--until", "2099-12-31")
    shown += [(folder.root / "reports" / name).read_text() for name in PAGES]
    shown.insert(0, folder.run("drill.recover", copy.name).stdout)
    assert [named(text) - {"drillbook"} for text in shown] == [set()] * len(shown)
    assert [bool(named(text)) for text in shown[1:4]] == [True] * 3
    _, report, _, _, audit = shown[-5:]
    assert all("drillbook" in named(page) for page in (report, audit))


def test_of_the_other_program(folder):
    """The same by the program `invoke`, also of a run that `drillbook` ran."""
    (folder.root / "tasks.py").write_text(scaffold.contents()["tasks.py"])
    folder.write(UNDOABLE + "restore:\n" + step(["true"]))
    done = invoke(folder, "drill", "sample")
    assert done.returncode == 5, done.stdout + done.stderr
    copy = dead(folder)
    shown = [
        done.stdout,
        *(invoke(folder, *argv).stdout for argv in (["report.verify", copy.name], ["drill.list"], ["report"])),
    ]
    shown += [(folder.root / "reports" / name).read_text() for name in PAGES[1:-1]]
    shown += [invoke(folder, "drill.recover", copy.name).stdout, invoke(folder, "runbook", "sample").stdout]
    assert [named(text) - {"invoke"} for text in shown] == [set()] * len(shown)
    assert named((folder.root / "reports" / "index.html").read_text()) <= {"invoke"}
    audited = invoke(folder, "audit", "--since", "2020-01-01", "--until", "2099-12-31").stdout
    place = folder.root / "reports" / "audit-2020-01-01-2099-12-31"
    pages = [(place / name).read_text() for name in ("audit.html", "audit.md", "summary.html")]
    assert [named(text) - {"invoke"} for text in (audited, *pages)] == [set()] * 4
    assert all("invoke" in named(page) for page in (pages[0], pages[2])), "the foot of the audit, and the next steps"
    data = (place / "audit.json").read_text()
    folder.run("audit", "--since", "2020-01-01", "--until", "2099-12-31")
    assert (place / "audit.json").read_text() == data, "data does not depend on the program"
    assert [named((place / name).read_text()) - {"drillbook"} for name in ("audit.html", "audit.md")] == [set()] * 2
    assert folder.run("runbook", "sample").stdout == shown[-1].replace("invoke drill", "drillbook drill")
    again = folder.run("report", folder.latest.name).stdout
    assert "invoke" not in again, [line for line in again.splitlines() if "invoke" in line]
    assert named(again) == {"drillbook"}, "the terminal names the program that was called now"


def test_of_alert_rules(folder):
    (folder.root / "tasks.py").write_text(scaffold.contents()["tasks.py"])
    for run, name in ((folder.run, "drillbook"), (partial(invoke, folder), "invoke")):
        assert run("metrics.files", name).returncode == 0
        assert named((folder.root / name / "drillbook.rules.yml").read_text()) == {name}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run `invoke drill.recover`", "run `x drill.recover`"),
        ("run `drillbook drill.recover`", "run `x drill.recover`"),
        ("drillbook lab.up; invoke lab.down", "x lab.up; x lab.down"),
        ("run: .venv/bin/drillbook drill first", "run: .venv/bin/drillbook drill first"),
        ("the certificate of drillbook lab ca", "the certificate of drillbook lab ca"),
        ("re-invoke drills of drillbook", "re-invoke drills of drillbook"),
    ],
)
def test_a_command_of_either_program_is_named_anew_and_nothing_else(text, shown):
    assert as_called(text, "x") == shown


def test_of_a_schedule_that_cannot_be_read(folder):
    folder.write("every: 7d\nguard: {windows: [{from: noon}]}\n" + VERIFY)
    for argv in (["drill.due"], ["drill.due", "--json"], ["drill.list"]):
        assert named(folder.run(*argv).stdout) == {"drillbook"}


def test_of_an_empty_project(folder):
    folder.write(VERIFY)
    folder.run("drill", "sample", "-q")
    shutil.rmtree(folder.latest)
    (folder.root / "reports" / "latest").unlink()
    assert named(folder.run("report.list").stdout) == {"drillbook"}


def test_of_references_and_schemas(folder):
    made = folder.root / "made"
    assert folder.run("init", str(made)).returncode == 0
    texts = [path.read_text() for path in (made / ".drillbook").glob("*.schema.json")]
    texts += [folder.run("schema", kind).stdout for kind in ("drill", "inventory", "tree")]
    texts += [folder.run("actions", "diagnosis.finds").stdout, folder.run("actions", "--json").stdout]
    assert len(texts) == 8
    assert [named(text) - {"drillbook"} for text in texts] == [set()] * 8
