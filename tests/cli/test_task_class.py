"""All tasks: examples in their help are valid, short flags have one meaning, and lists are available as JSON."""

import inspect
import json
import shutil
import sys
from pathlib import Path

import pytest

from drillbook.cli import developer_tasks
from drillbook.cli.program import program
from drillbook.cli.task_class import EXAMPLES, SHORT
from drillbook.cli.task_exit import Dry
from drillbook.cli.tasks import namespace
from drillbook.sdk.action import Action, known_names
from drillbook.sdk.probe import Probe
from tests.program import VERIFY, Folder

ROOT = namespace()
DEVELOPERS = {task.name for task in developer_tasks.TASKS}
PATHS = sorted({(*aliases, path)[0] for path, aliases in ROOT.task_names.items()} - DEVELOPERS)


@pytest.mark.parametrize("path", sorted(ROOT.task_names))
def test_the_line_of_each_task_in_the_list_is_whole(path):
    """The list of all tasks shows the first line of each help."""
    assert ROOT[path].__doc__.splitlines()[0].endswith(".")


@pytest.mark.parametrize("path", PATHS)
def test_the_help_of_each_task_has_examples(path):
    assert "\n\nExamples:\n" in ROOT[path].__doc__
    assert all(example.partition(" ")[0] == path for example in EXAMPLES[path])


def test_no_example_in_a_help_is_wider_than_a_small_terminal():
    lines = [f"    drillbook {example}" for path in PATHS for example in EXAMPLES[path]]
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("path", PATHS)
def test_no_help_breaks_a_word_on_a_small_terminal(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["drillbook", "--help", path])
    program().run(["drillbook", "--help", path], exit=False)
    said = capsys.readouterr().out.partition("Options:")[0].splitlines()[2:]
    assert [line for line in said if len(line) > 80] == []
    assert said[0] == "Docstring:"


def test_every_example_is_of_a_task():
    assert sorted(EXAMPLES) == PATHS


def test_a_short_flag_has_one_meaning_everywhere():
    meanings = {}
    for path in ROOT.task_names:
        for argument in ROOT[path].get_arguments():
            for name in argument.names:
                if len(name) == 1:
                    meanings.setdefault(name, set()).add(argument.name)
    assert meanings == {short: {name} for name, short in SHORT.items()}


def test_every_list_is_also_json(tmp_path):
    folder = Folder(tmp_path)
    folder.write(VERIFY)
    assert json.loads(folder.run("report.list", "--json").stdout) == []
    assert folder.run("drill", "sample", "-q").returncode == 0
    (drill,) = json.loads(folder.run("drill.list", "-j").stdout)["drills"]
    assert (drill["name"], drill["title"], drill["last"]["verdict"]) == ("sample", "A sample", "passed")
    assert drill["last"]["run"] == drill["passed"]["run"]
    (run,) = json.loads(folder.run("report.list", "--json").stdout)
    assert (run["run"], run["verdict"], run["exit"]) == (folder.latest.name, "passed", 0)
    assert (run["seconds"] > 0, run["rto"]) == (True, None)
    actions = {one["name"]: one for one in json.loads(folder.run("actions", "--json").stdout)}
    assert actions["postgres.dump"]["effect"] == "write"
    assert json.loads(folder.run("actions", "postgres.dump", "--json").stdout) == actions["postgres.dump"]
    assert json.loads(folder.run("catalog", "--json").stdout)
    (checked,) = json.loads(folder.run("drill.check", "sample", "--json").stdout)
    assert (checked["drill"], checked["ready"], checked["exit"], checked["findings"]) == ("sample", True, 0, [])
    verified = json.loads(folder.run("report.verify", "--json").stdout)
    assert verified["name"] == folder.latest.name
    assert {"journal", "signature", "reports"} <= {one["check"] for one in verified["checks"]}


def test_a_name_of_an_action_and_a_probe_shows_both(tmp_path):
    folder = Folder(tmp_path)
    both = sorted(set(known_names(Action)) & set(known_names(Probe)))
    assert "tcp.open" in both
    for name in both:
        said = folder.run("actions", name).stdout
        assert said.index("As an action:") < said.index("As a probe:") < said.index("Time between two samples")
        found = json.loads(folder.run("actions", name, "--json").stdout)
        assert (found["name"], found["effect"] == "probe") == (name, False)
        assert (found["probe"]["name"], found["probe"]["effect"]) == (name, "probe")
    assert "As a" not in folder.run("actions", "postgres.dump").stdout


def is_flag_of(name, path):
    return any(name in one.names for one in ROOT[path].get_arguments())


def only_reads(path):
    return inspect.getclosurevars(ROOT[path].body).nonlocals.get("dry") is Dry.READS


DOCUMENTS = {"drill.sudoers", "schema"}
"""Tasks that read only, and print a file in a format of its own instead of a list."""
LISTS = [path for path in PATHS if is_flag_of("json", path) and path != "drill"]
"""Tasks that print a list or a table. `drill --json` prints the events of its run."""
ARGUMENTS = {"drill.check": ["sample"], "drill.plan": ["sample"], "trust": ["--show"]}
"""Arguments that these tasks require."""


def test_no_list_is_without_json():
    assert {path for path in PATHS if only_reads(path) and not is_flag_of("json", path)} == DOCUMENTS
    assert len(LISTS) > len(ARGUMENTS)


@pytest.fixture(scope="module")
def drilled(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("lists"))
    folder.write("every: 7d\n" + VERIFY)
    shutil.copytree(Path(__file__).parents[2] / "drills" / "diagnosis", folder.root / "drills" / "diagnosis")
    folder.run("drill", "sample", "-q")
    return folder


@pytest.mark.parametrize("path", LISTS)
def test_a_list_as_json_is_json_alone(drilled, path):
    done = drilled.run(path, *ARGUMENTS.get(path, []), "--json")
    assert done.returncode in (0, 1, 3), done.stderr
    assert json.loads(done.stdout) is not None


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["init", "y", "--with", "first", "--with"], "init: --with needs a value: entry of the catalogue"),
        (["init", "y", "--look", ""], "the value of --look is empty"),
        (["init", "y", "--with", ","], "the value of --with is empty"),
        (["campaign", "q", "--sites", "s.yml", "--at-most", "two"], "--at-most needs a whole number, not 'two'"),
        (["drill.list", "--json=yes"], "--json takes no value"),
    ],
)
def test_a_wrong_value_makes_no_project(argv, said, tmp_path):
    folder = Folder(tmp_path)
    done = folder.run(*argv)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert not (folder.root / "y").exists()
