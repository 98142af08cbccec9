"""Sudoers files that cannot be generated: refused with the reason. tests/estate installs generated ones."""

from drillbook.cli import sudoers
from drillbook.inventory import inventory
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
    assert "no recorded run of sample in lab executed a command by sudo on controller" in " ".join(done.stderr.split())


def test_a_program_that_is_no_longer_there(tmp_path):
    (tmp_path / "hosts.yml").write_text(
        f"environment: lab\nhosts: {{{here(tmp_path)}}}\nservices: {{app: {{kind: process, host: controller}}}}\n"
    )
    known, commands = inventory.load(tmp_path / "hosts.yml"), [("root", ("no-such-program", "x")), ("root", ("true",))]
    said = "controller: a program that the drill used is missing: no-such-program"
    refused_until(lambda: sudoers._rules(known, "controller", commands), said, lambda: commands.pop(0))
