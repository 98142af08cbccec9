"""The programs that transfer files: a list of files can name none outside the folder of the command."""

import hashlib
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


@pytest.mark.parametrize("name", ["carry.py", "carry.sh"])
def test_each_part_of_a_large_file_has_its_digest(tmp_path, name):
    contents = {"empty": b"", "one": b"abcd", "three": b"abcdefghij"}
    for file, data in contents.items():
        (tmp_path / file).write_bytes(data)
    program, argv = programs(name)
    done = subprocess.run((*argv, "survey", str(tmp_path), "4"), input=program, capture_output=True, timeout=60, check=True)
    found = {one.pop("name"): one for one in json.loads(done.stdout)}
    assert found == {
        "empty": {"size": 0, "sha256": digest(b""), "parts": []},
        "one": {"size": 4, "sha256": digest(b"abcd"), "parts": []},
        "three": {
            "size": 10,
            "sha256": digest(b"abcdefghij"),
            "parts": [digest(part) for part in (b"abcd", b"efgh", b"ij")],
        },
    }


def digest(data):
    return hashlib.sha256(data).hexdigest()
