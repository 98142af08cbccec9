"""The task `schema` prints the JSON Schema of each kind of file, with the name of the called program."""

import json
import subprocess
import sys

import pytest

from drillbook.installation.program_name import as_called
from drillbook.plan import schema


@pytest.mark.parametrize("kind", schema.KINDS)
def test_the_task_prints_it(kind):
    done = subprocess.run(
        [sys.executable, "-c", "from drillbook.cli.program import main; main()", "schema", kind],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == json.loads(as_called(schema.text(kind), "drillbook"))
