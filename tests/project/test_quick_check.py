"""Quick check of drills for lists: it finds no mistake in drills that are right, and needs no action to be loaded."""

import subprocess
import sys
from pathlib import Path

import yaml

from drillbook.project import quick_check
from drillbook.project.project import Project


def test_every_shipped_drill_and_example_passes_the_quick_check():
    shipped = Project(Path(__file__).parents[2]).drill_names().values()
    paths = [*shipped, *Path(quick_check.__file__).parents[1].glob("systems/*/examples/*.yml")]
    assert len(paths) > 60
    names = [path.stem for path in paths]
    for path in paths:
        text = path.read_text()
        assert quick_check.first_mistake(yaml.safe_load(text), path, text, names) == ""


def test_the_quick_check_loads_no_action():
    code = (
        "import sys, pathlib\n"
        "from drillbook.project import schedules\n"
        "from drillbook.project.project import Project\n"
        f"found = schedules.read(Project(pathlib.Path({str(Path(__file__).parents[2])!r})))\n"
        "assert not [one for one in found if one.broken or one.mistake]\n"
        "print(*[name for name in sys.modules if '.actions.' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
