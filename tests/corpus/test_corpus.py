"""Broken drills and inventories: the exact messages.

DRILLBOOK_GOLDEN=write rewrites the expected texts. Each file of tests/corpus/drills is planned on
tests/corpus/site.yml, each file of tests/corpus/inventory is loaded; the expected message is next to it as .txt. No
case may open a socket or end in a traceback.
"""

import os
import sys
from pathlib import Path

import pytest

from drillbook.errors import SourceError
from drillbook.inventory.inventory import CONTROLLER
from drillbook.plan import planner
from drillbook.plan.spec import Suite
from drillbook.project import planning
from drillbook.project.project import Project

CORPUS = Path(__file__).parent
DRILLS = sorted(CORPUS.glob("drills/*.yml"))
INVENTORIES = sorted(path for path in CORPUS.glob("inventory/*.yml") if ".hosts" not in path.name)
SITE_TEXT = (CORPUS / "site.yml").read_text()
CONTACTED: list[str] = []


def _watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.system", "os.exec"):
        CONTACTED.append(f"{event} {args!r}")


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def nothing_is_contacted():
    CONTACTED.clear()
    yield
    assert not CONTACTED


def told(path):
    """Message for this drill or inventory; None when it is valid."""
    project = Project(CORPUS)
    try:
        if path.parent.name == "drills":
            found = planning.load(project, path.stem, str(CORPUS / "site.yml"))
            if not isinstance(found, Suite):
                planner.make(found, project.inventory(str(CORPUS / "site.yml")))
        else:
            project.inventory(path.stem)
    except SourceError as error:
        return str(error).replace(str(CORPUS) + "/", "") + "\n"
    return None


@pytest.mark.parametrize("path", [*DRILLS, *INVENTORIES], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_is_told(path):
    found = told(path)
    assert found, "nothing is wrong with this file"
    golden = path.with_suffix(".txt")
    if os.environ.get("DRILLBOOK_GOLDEN") == "write":
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


def test_the_corpus_is_large_and_its_places_are_real():
    assert len(DRILLS) + len(INVENTORIES) >= 80
    for path in [*DRILLS, *INVENTORIES]:
        text = path.with_suffix(".txt").read_text(encoding="utf-8")
        assert "Traceback" not in text
        assert "object at 0x" not in text
        assert not {c for c in text if not c.isprintable()} - {"\n"}, path
        place, _, rest = text.partition(": ")
        file, line, column = place.rsplit(":", 2)
        source = (CORPUS / file).read_bytes().decode("utf-8", "replace").splitlines()
        assert 1 <= int(line) <= max(1, len(source)), path
        assert 1 <= int(column) <= len([*source, ""][int(line) - 1]) + 1, path
        assert any(word in rest for word in ("  hint: ", "expected", "such as", "needs `", "write it as", "did you mean")), (
            f"{path}: it does not say what was expected"
        )


def test_the_rest_of_the_corpus_is_sound():
    found = Project(CORPUS).inventory(str(CORPUS / "site.yml"))
    assert list(found.hosts) == ["app-1", "db-1", "db-2"]
    assert found.target(CONTROLLER).local
