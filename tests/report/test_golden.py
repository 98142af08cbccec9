"""Same input, same bytes: compared with the golden files, in other processes, and with any order of keys.

``DRILLBOOK_UPDATE_GOLDEN=1 pytest tests/report`` rewrites the golden files; review the difference before you commit
it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drillbook.journal.journal import read
from drillbook.judge.result import RunView
from tests.report import lab_recording, recording, renderings, samples

GOLDEN = Path(__file__).parents[1] / "golden" / "report"
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", renderings.ALL)
def test_as_before(name: str) -> None:
    found = renderings.ALL[name]()
    path = GOLDEN / name
    if os.environ.get("DRILLBOOK_UPDATE_GOLDEN") == "1":
        path.write_text(found, encoding="utf-8", newline="\n")
    assert found == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", samples.RECORDED)
def test_a_recording_is_whole(name: str) -> None:
    """Assert an intact chain of hashes; that of ``died`` is incomplete, because its controller died while it wrote."""
    history = read(samples.JOURNALS / f"{name}.jsonl")
    assert history.torn == (name == "died")
    assert samples.recorded(name).journal_head == history.head


def test_recordings_are_those_of_the_command() -> None:
    assert sorted([*recording.DRILLS, *lab_recording.DRILLS]) == samples.RECORDED


def test_no_golden_file_is_left_over() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(renderings.ALL)


SCRIPT = """
import hashlib
from tests.report import renderings
for name, make in renderings.ALL.items():
    print(name, hashlib.sha256(make().encode()).hexdigest())
"""


@pytest.mark.parametrize("seed", ["1", "77"])
def test_same_bytes_in_another_process(seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Shanghai", "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    here = {name: hashlib.sha256(make().encode()).hexdigest() for name, make in renderings.ALL.items()}
    assert dict(line.split() for line in done.stdout.splitlines()) == here


def backwards(value: Any) -> Any:
    """The same JSON value with every mapping in reverse order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(list(value))}
    return [backwards(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", [name for name in samples.ALL if name != "overwritten"])
def test_the_order_of_keys_does_not_matter(name: str) -> None:
    view = samples.ALL[name]()
    data = json.loads(json.dumps(view.model_dump(mode="json", by_alias=True)))
    turned = RunView.model_validate(backwards(data))
    assert turned == view
    assert renderings.formats(turned) == renderings.formats(view)


def test_rendering_twice_in_one_process() -> None:
    assert renderings.formats(samples.passed()) == renderings.formats(samples.passed())
