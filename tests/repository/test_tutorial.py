"""The tutorial, followed exactly: its files are written, its commands run, and exit statuses compared."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bench import pictures

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


def test_the_pictures_show_the_drill_and_the_commands_of_the_tutorial():
    text = (ROOT / "docs" / "tutorial.md").read_text()
    for name in ("terminal-plan", "terminal-mistake"):
        assert f"$ {pictures.TERMINAL[name]}\n" in text
        assert f"pictures/{name}.png" in text
        assert yaml.safe_load(pictures.drill(name))["drill"] == pictures.DRILL
    assert pictures.drill("terminal-plan") in text
    assert "service.sttart" in pictures.drill("terminal-mistake")


@pytest.mark.long(60)
def test_the_first_commands_of_the_readme_work(tmp_path):
    """The commands of somebody who has only the wheel; what pip installs is the subject of `test_wheel.py`."""
    text = (ROOT / "README.md").read_text()
    block = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0]
    venv, pip, init, drill = block.splitlines()
    assert venv == "python3 -m venv ~/drillbook && . ~/drillbook/bin/activate"
    assert pip in (ROOT / "docs" / "tutorial.md").read_text(), "the same command installs it"
    init, _, folder = init.partition(" && cd ")
    environment = {**os.environ, "DRILLBOOK_LAB": f"/var/tmp/drillbook-readme-{os.getpid()}"}
    try:
        for command, place in (
            (init, tmp_path),
            (drill, tmp_path / folder),
            ("drillbook init --with quarterly", tmp_path / folder),
        ):
            done = run(command, place, environment)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert (tmp_path / folder / "reports" / "latest" / "report.html").is_file()
        assert text.index(block) < text.index(".venv/bin/invoke drill quarterly"), "users come first"
    finally:
        run("drillbook lab.down", tmp_path / folder, environment)


def run(command, folder, environment):
    program = [sys.executable, "-c", "from drillbook.cli.program import main; main()", *command.split()[1:]]
    return subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
