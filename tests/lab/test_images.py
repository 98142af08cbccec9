"""Container images contain every module that runs in the containers."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import drillbook
from drillbook.lab.containers import images

FILES = Path(__file__).parents[2] / "lab"
MODULES = sorted(
    {
        name
        for path in (FILES / "compose.yml", *FILES.glob("etc/*"))
        for name in re.findall(r"drillbook\.lab\.\w+", path.read_text())
    }
)


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """Folder with the files that an image contains."""
    root, folder = Path(drillbook.__file__).parent, tmp_path_factory.mktemp("image")
    for pattern in images.PARTS:
        for path in root.glob(pattern):
            place = folder / "drillbook" / path.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    return folder


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_runs_in_a_container_finds_its_imports(copied, module):
    program = f"import sys; sys.path.insert(0, {str(copied)!r}); import {module}, drillbook; print(drillbook.__path__[0])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.returncode) == (str(copied / "drillbook"), 0), done.stderr
