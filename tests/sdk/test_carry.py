"""The programs that transfer files: a list of files can name none outside the folder of the command."""

import json
import subprocess
from importlib.resources import files

import pytest

from drillbook.sdk import sent_program

NOBODY = "http://127.0.0.1:1/x?y=z"
DIGEST = 64 * "0"


def programs(name):
    program = files("drillbook.sdk").joinpath(name).read_bytes().rstrip()
    return program, (sent_program.python if name.endswith(".py") else sent_program.shell)(program)


@pytest.mark.parametrize("mode", ["send", "fetch"])
@pytest.mark.parametrize("name", ["carry.py", "carry.sh"])
@pytest.mark.parametrize("place", ["../outside", "in/../../outside", "{folder}/outside"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name, mode, place):
    folder = tmp_path / "folder"
    folder.mkdir()
    outside = tmp_path / "outside"
    outside.write_text("kept")
    place = place.format(folder=tmp_path)
    row = {"name": place, "offset": 0, "length": 4, "size": 4, "sha256": DIGEST, "url": NOBODY}
    plan = tmp_path / "plan"
    lines = f"{place} 0 4 {DIGEST} {NOBODY}\n"
    plan.write_text(json.dumps({"puts": [row], "gets": [row]}) if name == "carry.py" else lines)
    program, argv = programs(name)
    done = subprocess.run((*argv, mode, str(folder), str(plan)), input=program, capture_output=True, timeout=60, check=False)
    assert done.returncode != 0
    assert f"{place} is not in {folder}".encode() in done.stderr
    assert outside.read_text() == "kept"
