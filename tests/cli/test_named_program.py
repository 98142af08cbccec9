"""Every command that a message or a page suggests names the program that was called."""

import re
import shutil

import pytest

from drillbook.installation.program_name import TASKS
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


def named(text):
    return set(NAMES.findall(text))


def dead(folder):
    """A copy of the newest run, whose journal ends after the injection of its fault."""
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
