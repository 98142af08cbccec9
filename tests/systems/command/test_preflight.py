"""Commands of the team: missing programs, scripts and folders are reported before a drill, and with them the commands
work.
"""

import json
from dataclasses import replace

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.judge.result import Verdict
from drillbook.sdk.action import Effect, find
from drillbook.systems.command.service import Command
from tests.engine.test_runner import Bench
from tests.systems.refusals import refused_until

FAULT = {"argv": ["true"], "effect": "fault", "undo": ["true"], "proof": ["true"]}
SCRIPT = {"path": "DIR/script", "effect": "write", "interpreter": ["sh"]}
READING = {"service": "queue", "of": {"orders": {"command": ["DIR/tool"]}}}
PROGRAM = "the program .*/tool. is not installed"
FOLDER = "the working directory .*/folder does not exist"


def make_tool(folder):
    (folder / "tool").write_text("#!/bin/sh\necho 1\n")
    (folder / "tool").chmod(0o755)


def make_folder(folder):
    (folder / "folder").mkdir()


def make_script(folder):
    (folder / "other").write_text("exit 0\n")


def make_executable(folder):
    (folder / "script").chmod(0o700)


@pytest.mark.parametrize(
    ("name", "params", "said", "mend"),
    [
        ("command.run", {**FAULT, "argv": ["DIR/tool"]}, PROGRAM, make_tool),
        ("command.run", {**FAULT, "argv": ["./tool"], "cwd": "DIR"}, PROGRAM, make_tool),
        ("command.run", {**FAULT, "undo": ["DIR/tool"]}, PROGRAM, make_tool),
        ("command.run", {**FAULT, "proof": ["DIR/tool"]}, PROGRAM, make_tool),
        ("command.run", {**FAULT, "cwd": "DIR/folder"}, FOLDER, make_folder),
        ("command.script", {**SCRIPT, "interpreter": ["DIR/tool"]}, PROGRAM, make_tool),
        ("command.script", {**SCRIPT, "undo": ["DIR/tool"]}, PROGRAM, make_tool),
        ("command.script", {**SCRIPT, "path": "DIR/other"}, "the script .*/other cannot be read", make_script),
        (
            "command.script",
            {**SCRIPT, "interpreter": []},
            "the script .*/script cannot be executed by this user",
            make_executable,
        ),
        ("command.script", {**SCRIPT, "cwd": "DIR/folder"}, FOLDER, make_folder),
        ("command.check", {"service": "queue"}, PROGRAM, make_tool),
        ("content.take", READING, PROGRAM, make_tool),
    ],
)
def test_what_is_missing_refuses_a_step_that_works_with_it(ground, name, params, said, mend):
    folder = ground.root / "team's own"
    folder.mkdir()
    (folder / "script").write_text("#!/bin/sh\nexit 0\n")
    (folder / "script").chmod(0o600)
    ground.services["queue"] = Command(name="queue", host="here", check=(f"{folder}/tool",))
    action, ctx = find(name).model_validate(json.loads(json.dumps(params).replace("DIR", str(folder)))), ground.ctx()
    refused_until(lambda: action.ready(ground.ctx()), said, lambda: mend(folder))
    action.run(ctx)
    if action.effect is Effect.FAULT:
        assert action.active(ctx) is True
    if action.effect is not Effect.READ and (undo := action.undo(ctx)).kind == "commands":
        ground.undo(undo)


READ = {"effect": "read"}


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("command.run", {**READ, "argv": ["env", "A=1", "DIR/tool"]}, PROGRAM),
        ("command.run", {**READ, "argv": ["nice", "-n", "1", "timeout", "9", "./tool"], "cwd": "DIR"}, PROGRAM),
        ("command.script", {**READ, "path": "DIR/named"}, "first line of the script .*/named names '.*/tool', which is not"),
        ("command.script", {**READ, "path": "DIR/looked-up"}, "first line of the script .*/looked-up names '.*/tool'"),
        ("command.check", {"service": "queue"}, PROGRAM),
    ],
)
def test_a_program_that_another_one_starts_refuses_a_step_that_works_with_it(ground, name, params, said):
    folder = ground.root / "own"
    folder.mkdir()
    for script, line in (("named", "#!"), ("looked-up", "#!/usr/bin/env ")):
        (folder / script).write_text(f"{line}{folder}/tool\n")
        (folder / script).chmod(0o755)
    ground.services["queue"] = Command(name="queue", host="here", check=("env", f"{folder}/tool"))
    action = find(name).model_validate(json.loads(json.dumps(params).replace("DIR", str(folder))))
    with pytest.raises(StepFailed, match=r"status 12[67]"):
        action.run(ground.ctx())
    told = []
    if name != "command.check":
        action.ready(replace(ground.ctx(), changed=True, doubt=told.append))
        assert [text.rpartition("; ")[2] for text in told] == ["an earlier step may change this"]

    def mend():
        (folder / "tool").symlink_to("/bin/true")

    refused_until(lambda: action.ready(ground.ctx()), said, mend)
    action.run(ground.ctx())


@pytest.mark.parametrize("lacking", ["undo", "proof"])
def test_a_fault_that_could_not_be_undone_or_proven_is_not_injected(tmp_path, lacking):
    made = {"undo": "[rm, DIR/made]", "proof": "[test, -e, DIR/made]"} | {lacking: "[no-such-program]"}
    text = ", ".join(f"{key}: {value}" for key, value in made.items())
    view = Bench(tmp_path).run(
        f"inject:\n  - command.run: {{argv: [touch, DIR/made], effect: fault, {text}}}\n    hosts: controller\n"
    )
    assert view.result.verdict is Verdict.REFUSED
    assert f"correct `{lacking}`" in view.result.findings[0].remedy
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["command.run", "command.script"])
def test_a_folder_that_an_earlier_step_may_make_is_not_missed(ground, name):
    folder = ground.root / "made-later"
    (ground.root / "script").write_text("exit 0\n")
    params = FAULT if name == "command.run" else {**SCRIPT, "path": f"{ground.root}/script"}
    action = find(name).model_validate({**params, "cwd": str(folder)})
    action.ready(replace(ground.ctx(), changed=True))
    folder.write_text("a file")
    with pytest.raises(NotReady, match="the working directory"):
        action.ready(replace(ground.ctx(), changed=True))


def test_a_drill_may_work_in_a_folder_that_it_makes(tmp_path):
    made = "  - command.run: {argv: [mkdir, DIR/folder], effect: write}\n    hosts: controller\n"
    used = "  - command.run: {argv: [touch, made], effect: write, cwd: DIR/folder}\n    hosts: controller\n"
    assert Bench(tmp_path).run(f"inject:\n{made}{used}").result.verdict is not Verdict.REFUSED
    assert (tmp_path / "folder" / "made").exists()


def test_a_program_beside_a_folder_that_is_not_known_yet_is_not_looked_for(ground):
    action = find("command.run").with_unknown({**FAULT, "proof": ["./later"]}, {"cwd"})
    action.ready(ground.ctx())
