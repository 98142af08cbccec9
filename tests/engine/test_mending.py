"""Drills that only restore: how they are recognised, and where they may run although an earlier run left residue."""

import pytest

from drillbook.engine.recovery import in_the_way
from drillbook.inventory import inventory
from drillbook.journal.journal import FILE
from drillbook.plan import planner, spec
from drillbook.project.project import Project
from tests.cli.test_overview import Shelf, change, killed

WRITES = "- command.run: {argv: ['true'], effect: write}\n    hosts: controller\n"
READS = "- command.run: {argv: ['true'], effect: read}\n    hosts: controller\n"
CHMOD = "- files.chmod: {path: /tmp/file, mode: '0400'}\n    hosts: controller\n"


def made(shelf, **phases):
    text = "drill: mend\ntitle: Mend it\nservice: app\n" + "".join(
        f"{phase}:\n  {step}" for phase, step in {"verify": READS, **phases}.items()
    )
    path = shelf.root / "mend.yml"
    path.write_text(text)
    return planner.make(spec.load(path), inventory.load(shelf.root / "hosts.yml"))


@pytest.mark.parametrize(
    ("phases", "counts"),
    [
        ({"restore": WRITES}, True),
        ({"restore": WRITES, "verify": WRITES + "  " + READS}, True),
        ({"restore": READS}, False),
        ({"restore": WRITES + "    when: \"environment == 'lab'\"\n"}, False),
        ({"restore": WRITES + "    allow_failure: it may be there already\n"}, False),
        ({"backup": WRITES, "restore": WRITES}, False),
        ({"restore": WRITES, "cleanup": WRITES}, False),
        ({"inject": CHMOD, "restore": WRITES}, False),
        ({"verify": WRITES}, False),
    ],
    ids=[
        "restores",
        "lets-clients-in",
        "reads",
        "may-be-skipped",
        "may-fail",
        "takes-a-backup",
        "cleans-up",
        "breaks",
        "verifies",
    ],
)
def test_what_only_restores(tmp_path, phases, counts):
    assert made(Shelf(tmp_path), **phases).only_restores() is counts


def test_a_drill_that_only_restores_may_run_where_a_dead_run_left_something(tmp_path):
    shelf = Shelf(tmp_path)
    dead = killed(shelf)
    runs = list(Project(tmp_path).runs())
    assert in_the_way(made(shelf, inject=CHMOD, restore=WRITES), runs)
    assert not in_the_way(made(shelf, restore=WRITES), runs)
    change(dead / FILE, 3)
    assert in_the_way(made(shelf, restore=WRITES), runs), "nobody knows what a damaged journal does not tell"
