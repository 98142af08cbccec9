"""Record of the last results of drills, and the page made from it, with real runs on this machine."""

import json

import pytest

from drillbook.cli.orchestration import Orchestrator
from drillbook.errors import UsageError
from drillbook.inventory import inventory
from drillbook.plan import planner, spec
from drillbook.project.project import Project
from drillbook.reference.handbook import page, results
from drillbook.reference.handbook.results import Last, Measured, Record
from tests.program import HEAD, VERIFY

HOSTS = """\
environment: lab
lab: LAB
hosts: {controller: {local: true, scratch: SCRATCH, lease: {boot: none}}}
services: {app: {kind: process, host: controller}}
"""


class Book:
    """Project with a suite `handbook` of two drills that need only this machine."""

    def __init__(self, root):
        self.root, self.project = root, Project(root)
        (root / "drills").mkdir()
        (root / "docs").mkdir()
        (root / "drills" / "handbook.yml").write_text("suite: handbook\ntitle: T\ndrills: [first, second]\n")
        for name in ("first", "second"):
            self.file(name).write_text(HEAD.replace("sample", name) + VERIFY)

    def file(self, name):
        return self.root / "drills" / f"{name}.yml"

    def run(self, name, lab="embedded"):
        path = self.root / f"{lab or 'none'}.yml"
        path.write_text(HOSTS.replace("LAB", json.dumps(lab)).replace("SCRATCH", str(self.root / "scratch")))
        found = inventory.load(path)
        return Orchestrator(self.project, found, lambda event: None).run(planner.make(spec.load(self.file(name)), found))

    def renew(self):
        page.write(self.project, renew=True)
        return self.lines()

    def lines(self):
        """Last column of the page, by drill."""
        page.write(self.project)
        rows = [line for line in (self.root / "docs" / page.FILE).read_text().splitlines() if line.startswith("| **")]
        return {row[4:].partition("**")[0]: row.rpartition(" | ")[2].removesuffix(" |") for row in rows}


@pytest.fixture
def book(tmp_path):
    return Book(tmp_path)


def test_the_newest_run_on_each_inventory_is_what_the_page_says(book):
    assert book.lines() == {"first": "not run", "second": "not run"}
    book.run("first")
    _, docker = book.run("first", "docker")
    told = book.renew()
    assert told["second"] == "not run"
    one, other = told["first"].split("<br>")
    assert one.startswith("**passed** on docker, 20")
    assert other.startswith("**passed** on embedded, 20")
    record = (book.root / "docs" / results.FILE).read_text()
    assert docker.result.run in record
    assert str(book.root) not in record
    assert page.write(book.project, renew=True) == [], "the same runs make the same record and page"
    text = book.file("first").read_text()
    book.file("first").write_text(text.replace("'true'", "'false'"))
    assert text != book.file("first").read_text()
    book.run("first")
    assert [line.partition(",")[0] for line in book.renew()["first"].split("<br>")] == [
        "**passed** on docker",
        "**failed** on embedded",
    ]
    for folder in book.project.runs():
        (folder / "journal.jsonl").unlink()
    assert "**failed** on embedded" in book.renew()["first"], "what this machine does not know stays"


def test_a_drill_that_was_changed_since_is_marked(book):
    book.run("first")
    assert "changed since" not in book.renew()["first"]
    text = book.file("first").read_text()
    book.file("first").write_text(f"# a comment\n{text}")
    assert book.lines()["first"].endswith(" (changed since)")
    assert "changed since" not in book.renew()["first"], "it makes the plan that was carried out"
    book.file("first").write_text(text.replace("'true'", "'false'"))
    for told in (book.lines(), book.renew()):
        assert told["first"].startswith("**passed**")
        assert told["first"].endswith(" (changed since)")


def test_figures_have_their_errors_and_foreign_text_is_only_text():
    known = {"run": "20260101T000000.000Z-first-0000", "started": "2026-01-01T00:00:00Z", "drill_sha256": "0" * 64}
    rto = Measured(seconds=7.4123, error_s=0.11, clock="disruption to sustained recovery")
    lost = Measured(seconds=None, error_s=None, clock="acknowledged writes")
    one = Last(inventory="<b>*x*\n", verdict="failed", residue=True, rto=rto, rpo=lost, **known)
    assert results.cell(Record(results={"first": (one,)}), "first", "0" * 64) == (
        r"**failed** with residue on \<b\>\*x\*\\n, 2026-01-01 00:00:00 UTC, RTO 7.42 s +0/−0.12 s, RPO not measured"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data["results"]["first"][0].update(verdict="<script>"), "results.first.0.verdict: Input should be"),
        (
            lambda data: data["results"]["first"][0]["rto"].update(seconds=-1),
            "results.first.0.rto.seconds: Input should be greater",
        ),
        (lambda data: data.update(format="drillbook/other"), "format: Input should be"),
        (lambda data: data.update(more=1), "more: Extra inputs"),
    ],
)
def test_a_record_that_was_written_by_hand_is_told(book, change, said):
    rto = {"seconds": 1.0, "error_s": 0.1, "clock": "disruption to sustained recovery"}
    data = {
        "format": "drillbook/handbook-results/1",
        "results": {
            "first": [
                {
                    "inventory": "docker",
                    "run": "20260101T000000.000Z-first-0000",
                    "started": "2026-01-01T00:00:00Z",
                    "verdict": "passed",
                    "residue": False,
                    "rto": rto,
                    "rpo": None,
                    "drill_sha256": None,
                }
            ]
        },
    }
    results.path_of(book.project).write_text(json.dumps(data))
    assert book.lines()["first"].endswith("RTO 1.0 s +0/−0.1 s (changed since)")
    change(data)
    results.path_of(book.project).write_text(json.dumps(data))
    with pytest.raises(UsageError, match=said):
        page.page(book.project)
