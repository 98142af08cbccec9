"""Mistakes in the command line are answered with what was meant, and nothing is run."""

import re

import pytest

from drillbook.cli.program import program
from tests.cli.test_task_class import PATHS, ROOT
from tests.program import Folder

VALUED = sorted(
    {
        (path, flag)
        for path in PATHS
        for argument in ROOT[path].get_arguments()
        if argument.takes_value
        for flag in (f"--{name}" if len(name) > 1 else f"-{name}" for name in argument.names)
        if argument.name not in ("name", "run", "folder", "kind", "path")
    }
)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["drill.lst"], "did you mean 'drill.list'?"),
        (["drils", "sample"], "did you mean"),
        (["drill", "sample", "--inventroy", "lab"], "did you mean --inventory?"),
        (["catalog", "--fro", "postgres"], "did you mean --for?"),
        (["drill.list", "--jsn"], "did you mean --json?"),
    ],
)
def test_a_typing_mistake_is_answered_with_what_was_meant(tmp_path, argv, said):
    done = Folder(tmp_path).run(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize(("path", "flag"), VALUED)
def test_a_forgotten_value_is_told_in_a_sentence(path, flag, capsys):
    """It is told of each option of each task, also before another option, and with an empty value after `=`."""
    other = ["--json"] if any(one.name == "json" for one in ROOT[path].get_arguments()) else []
    for argv in ([path, flag], [path, flag, *other], [path, f"{flag}="] if flag.startswith("--") else [path, flag]):
        with pytest.raises(SystemExit) as ended:
            program().run(["drillbook", *argv])
        said = capsys.readouterr().err
        assert ended.value.code == 2, said
        assert re.match(rf"error: {re.escape(path)}: --[a-z-]+ needs a value\b", said), said
        assert "Argument" not in said
