"""Sudoers files that cannot be generated: refused with the reason. tests/estate installs generated ones."""

import re
import subprocess

import pytest

from drillbook.cli import sudoers
from drillbook.engine import later_commands
from drillbook.inventory import inventory
from drillbook.plan import planner, spec
from tests.needs import need
from tests.program import Folder, here, step
from tests.systems.refusals import refused_until


def test_a_drill_that_recorded_no_commands_by_sudo(tmp_path):
    folder = Folder(tmp_path)
    (tmp_path / "inventory" / "lab.yml").write_text(
        f"environment: lab\nhosts: {{{here(tmp_path)}}}\nservices: {{app: {{kind: process, host: controller}}}}\n".replace(
            "local: true", "local: true, become: true"
        )
    )
    folder.write("restore:\n" + step(["true"]))
    done = folder.run("drill.sudoers", "sample")
    assert done.returncode == 4, done.stdout + done.stderr
    said = " ".join(done.stderr.split())
    assert "no recorded run of sample in lab executed a command by sudo on controller" in said
    assert "the first run needs rules that allow every command, such as `USER ALL=(ALL) NOPASSWD: ALL`" in said


def test_a_drill_without_another_account_is_led_to_the_page_with_its_rules(tmp_path):
    folder = Folder(tmp_path)
    folder.write("restore:\n" + step(["true"]))
    done = folder.run("drill.sudoers", "sample")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "for `manager: {sudo: true}` and for `run_as`, write the rules of the page `Permissions`" in " ".join(
        done.stderr.split()
    )


@pytest.mark.parametrize(("become", "narrower"), [("", False), (", become: postgres", True)], ids=["manager", "become"])
def test_a_refused_command_names_the_rule_of_a_first_run(tmp_path, become, narrower):
    """A newcomer without any right by sudo can begin: the rule is valid, and nothing else is needed before."""
    (tmp_path / "hosts.yml").write_text(
        f"environment: lab\nhosts: {{db-1: {{address: h, user: drill, manager: {{sudo: true}}{become}}}}}\n"
        "services: {app: {kind: process, host: db-1}}\n"
    )
    (tmp_path / "sample.yml").write_text(
        "drill: sample\ntitle: A sample\nservice: app\nguard: {environments: [lab]}\nobjectives: {}\n"
        "verify:\n  - command.run: {argv: ['true'], effect: read}\n    hosts: db-1\n"
    )
    plan = planner.make(spec.load(tmp_path / "sample.yml"), inventory.load(tmp_path / "hosts.yml"))
    account = "postgres" if become else "root"
    told = later_commands.how_to_allow(plan, "db-1", account)
    [line] = re.findall("the line `([^`]*)`", told)
    assert line == f"drill ALL=({account}) NOPASSWD: ALL"
    assert ("drill.sudoers sample" in told) == narrower, "it lists no commands of the service manager"
    done = subprocess.run([need("visudo"), "-cf", "-"], input=f"{line}\n", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_program_that_is_no_longer_there(tmp_path):
    (tmp_path / "hosts.yml").write_text(
        f"environment: lab\nhosts: {{{here(tmp_path)}}}\nservices: {{app: {{kind: process, host: controller}}}}\n"
    )
    known, commands = inventory.load(tmp_path / "hosts.yml"), [("root", ("no-such-program", "x")), ("root", ("true",))]
    said = "controller: a program that the drill used is missing: no-such-program"
    refused_until(lambda: sudoers._rules(known, "controller", commands), said, lambda: commands.pop(0))
