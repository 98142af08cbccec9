"""The tutorial, followed exactly: its files are written, its commands run, and exit statuses compared."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long(130)
def test_the_tutorial_works(tmp_path):
    text = (ROOT / "docs" / "tutorial.md").read_text()
    folder, environment = tmp_path, {**os.environ, "DRILLBOOK_LAB": f"/var/tmp/drillbook-tutorial-{os.getpid()}"}
    ran = []
    try:
        for kind, block in re.findall(r"^```(yaml|console)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if kind == "yaml":
                (folder / "drills" / f"{re.search(r'drill: (.+)', block)[1]}.yml").write_text(block)
                continue
            command, _, comment = block.strip().removeprefix("$ ").partition("  # exit ")
            ran.append(command)
            if command.startswith("cd "):
                folder = folder / command.removeprefix("cd ")
                continue
            done = run(command, folder, environment)
            assert done.returncode == int(comment or 0), f"{command}\n{done.stdout}{done.stderr}"
            if command.endswith("cache-stopped") and "plan" not in command:
                assert "no-outage-seen" in done.stdout
            if comment:
                assert "objective-missed" in done.stdout
    finally:
        run("drillbook lab.down", folder, environment)
    assert len(ran) == 10


def run(command, folder, environment):
    program = [sys.executable, "-c", "from drillbook.cli.program import main; main()", *command.split()[1:]]
    return subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
