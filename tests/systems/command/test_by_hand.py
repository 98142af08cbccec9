"""Commands of the steps `command.*`, as a person types them into a shell."""

import subprocess

import pytest

from drillbook.sdk.by_hand import ManualStep
from drillbook.systems.command.by_hand import BY_HAND


def typed(name, **params):
    return BY_HAND[name](ManualStep(params, None, None, {}))


def printed(line):
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout


def test_a_command_is_typed_as_the_step_runs_it(tmp_path):
    folder = tmp_path / "team's own"
    folder.mkdir()
    script = 'printf "%s|" "$A" "$@"; pwd'
    (line,) = typed("command.run", argv=["sh", "-c", script, "sh", "it's $HOME", "*"], env={"A": "x y"}, cwd=str(folder))
    assert printed(line) == f"x y|it's $HOME|*|{folder}\n"
    assert typed("command.run", argv=["sleep", 3]) == ("sleep 3",)


@pytest.mark.parametrize("params", [{"argv": "{{ run.command }}"}, {"argv": ["true"], "env": "{{ run.variables }}"}, {}])
def test_a_command_that_only_a_run_knows_is_not_shown(params):
    assert typed("command.run", **params) == ()


def test_a_script_is_typed_with_its_interpreter_and_arguments(tmp_path):
    (tmp_path / "a script").write_text('printf "%s|" "$@"\n')
    (line,) = typed("command.script", path=f"{tmp_path}/a script", interpreter=["sh", "-e"], arguments=["1 2", "$X"])
    assert printed(line) == "1 2|$X|"
    assert typed("command.script", path="/srv/restore") == ("/srv/restore",)
