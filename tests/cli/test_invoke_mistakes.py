"""Mistakes in the command line of `invoke` are answered in every kind of project, and correct calls never are."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import PROGRAM, Folder

ROOT = Path(__file__).parents[2]
NESTED = """\
from invoke import Collection, task
from drillbook import tasks


@task
def dril(_, name=""):
    print("dril of this project", name)


ns = Collection(dril)
namespace = tasks.namespace()
ns.add_collection(namespace, "recovery")
"""
"""`tasks.py` of a project whose tasks of Drillbook have names of the project's choice."""
OWN = """\
from drillbook import tasks
from invoke import task

namespace = tasks.namespace()


@task
def my_task(_, some_flag=False):
    print("own", some_flag)


namespace.add_task(my_task)
"""


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def invoke(folder, *argv, root=None, **more):
    return subprocess.run(
        [sys.executable, "-m", "invoke", *argv],
        cwd=root or folder.root,
        env={**folder.environment, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_generated_project_answers_mistakes(folder):
    root = folder.root / "made"
    made = subprocess.run(
        [*PROGRAM, "init", str(root)], cwd=folder.root, env=folder.environment, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    for argv, said in (
        (["dril", "quarterly"], "there is no task 'dril': did you mean 'drill'?"),
        (["drill.lst"], "there is no task 'drill.lst': did you mean 'drill.list'?"),
        (["drill.due", "--jsn"], "drill.due has no option --jsn: did you mean --json?"),
        (["drill.due", "tst"], "there is no task 'tst': "),
    ):
        done = invoke(folder, *argv, root=root)
        assert (done.returncode, done.stdout) == (2, "")  # 1 is the status of a failed drill
        assert done.stderr.startswith(f"error: {said}")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["my-task", "--some-flag"], "own True"),
        (["--no-dedupe", "my-task", "my-task", "-e"], "own False\nown False"),
        (["my-task", "--", "dril", "--jsn"], "own False"),
        (["--list", "drill"], ".list"),
        (["-l"], "my-task"),
        (["my-task", "--help"], "--some-flag"),
        (["--help", "drill"], "drill or suite"),
        (["campaign.collect", "--help"], "campaign.collect quarterly --sites sites.yml --artefacts artefacts"),
        (["campaign.approve", "--help"], "campaign.approve quarterly --sites sites.yml --until 24h"),
        (["-h"], "Usage: inv[oke]"),
        (["--version"], "Invoke"),
        (["--complete", "--", "invoke dril"], "my-task"),
        (["--complete", "--", "invoke drill.due --"], "--json"),
        (["drill.list", "-j"], "{"),
        (["report.list", "--all", "-j"], "[]"),
    ],
    ids=" ".join,
)
def test_a_correct_call_is_not_answered(folder, argv, said):
    (folder.root / "tasks.py").write_text(OWN)
    done = invoke(folder, *argv)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert said in done.stdout


@pytest.mark.parametrize("how", ["-c", "-r", "both"])
def test_a_collection_of_another_name_or_folder_is_used(folder, how):
    name = "tasks" if how == "-r" else "other"
    place = folder.root if how == "-c" else folder.root / "elsewhere"
    place.mkdir(exist_ok=True)
    (place / f"{name}.py").write_text(OWN)
    options = [*(["-c", name] if how != "-r" else []), *(["-r", str(place)] if how != "-c" else [])]
    assert invoke(folder, *options, "my-task").stdout == "own False\n"
    wrong = invoke(folder, *options, "my-tsk")
    said = "error: there is no task 'my-tsk': did you mean 'my-task'?\n  hint: invoke --list, or invoke --help TASK\n"
    assert (wrong.returncode, wrong.stderr) == (2, said)


def test_names_with_underscores_are_used_where_invoke_is_configured_so(folder):
    (folder.root / "tasks.py").write_text(OWN)
    (folder.root / "invoke.yaml").write_text("tasks: {auto_dash_names: false}\n")
    assert invoke(folder, "my_task", "--some-flag").stdout == "own True\n"


def test_tasks_in_a_namespace_of_the_project_are_left_to_invoke(folder):
    """The tasks of Drillbook do not know the names of the other tasks there."""
    (folder.root / "tasks.py").write_text(NESTED)
    assert invoke(folder, "dril", "--name", "x").stdout == "dril of this project x\n"
    assert invoke(folder, "recovery.drill.list").returncode == 0
    wrong = invoke(folder, "recovery.drill.lst")
    assert (wrong.returncode, wrong.stderr) == (1, "No idea what 'recovery.drill.lst' is!\n")
    (folder.root / "theirs.py").write_text("from drillbook import tasks\n\nnamespace = tasks.namespace()\n")
    (folder.root / "tasks.py").write_text(
        "from invoke import task\nimport theirs\n\nkept = theirs.namespace['drill']\n\n\n@task\ndef dril(_):\n    print('own')\n"
    )
    assert invoke(folder, "dril").stdout == "own\n"


@pytest.mark.parametrize(
    "argv", [["init", "y", "--look"], ["drill", "first", "-i"], ["drill", "first", "--inventory", "--json"]]
)
def test_a_forgotten_value_ends_with_exit_2(folder, argv):
    (folder.root / "tasks.py").write_text(OWN)
    done = invoke(folder, *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {argv[0]}: --{'look' if 'y' in argv else 'inventory'} needs a value: ")
    assert not (folder.root / "y").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [(["-c"], "needed value and was not given one!"), (["-c", "nowhere", "drill.list"], "Can't find any collection named")],
    ids=" ".join,
)
def test_a_mistake_before_the_first_task_keeps_the_message_and_status_of_invoke(folder, argv, said):
    """Invoke reads these options before it imports Drillbook, see docs/decisions/0007."""
    (folder.root / "tasks.py").write_text(OWN)
    done = invoke(folder, *argv)
    assert (done.returncode, said in done.stderr) == (1, True)


def test_the_readme_gives_the_status_of_a_mistake(folder):
    (folder.root / "tasks.py").write_text(OWN)
    text = " ".join((ROOT / "README.md").read_text().split())
    both = re.search(r"A task or an option that does not exist ends `drillbook` and `invoke` with (\d);", text)
    early = re.search(r"A mistake before the first task, such as `([^`]+)`, ends `invoke` with (\d)\.", text)
    assert both
    assert early
    for argv in (["nosuch"], ["drill.lst"], ["drill", "--nope"]):
        assert {invoke(folder, *argv).returncode, folder.run(*argv).returncode} == {int(both[1])}
    assert invoke(folder, *early[1].split(), "drill.list").returncode == int(early[2])


GREET = """

@task(iterable=["many"], optional=["maybe"])
def greet(_, name, count=1, share=0.5, many=None, maybe=""):
    print("greet", name, count, share, many, maybe)


namespace.add_task(greet)
"""
BOTH = [
    (["drill.list", "--nosuch"], "drill.list has no option --nosuch: its options: --all, --json"),
    (["drill", "x", "--frobnicate"], "drill has no option --frobnicate: its options: "),
    (["drill.list", "drill.lisst"], "there is no task 'drill.lisst': did you mean 'drill.list'?"),
    (["drill.list", "drill.due", "--frob"], "drill.due has no option --frob: its options: "),
    (["drill.list", "drill.due", "--json=1"], "--json takes no value"),
    (["drill.list", "campaign", "q", "--at-most", "two"], "--at-most needs a whole number, not 'two'"),
    (["drill", "first", "--inventory=lab", "--inventory=lab"], "drill: --inventory is given twice"),
    (["drill", "--inventory", "lab", "-i", "lab", "first"], "drill: -i is given twice"),
    (["campaign.collect", "q", "--artefact", "x"], "campaign.collect has no option --artefact: did you mean --artefacts?"),
    (["campaign.collect", "--artefact", "x"], "campaign.collect has no option --artefact: did you mean --artefacts?"),
    (["campaign.approve", "q", "--sties", "x"], "campaign.approve has no option --sties: did you mean --sites?"),
    (["campaign.approve", "--sties", "x"], "campaign.approve has no option --sties: did you mean --sites?"),
    (["campaign.approve"], "the name of a drill or suite is missing"),
    (["run", "first"], "there is no task 'run': did you mean `{} drill first`?"),
    (["run"], "there is no task 'run': did you mean `{} drill NAME`?"),
    (["drill", "list"], "there is no task 'drill list': did you mean `{} drill.list`?"),
    (["report", "verify", "first"], "there is no task 'report verify': did you mean `{} report.verify`?"),
    (["lab", "up"], "there is no task 'lab up': did you mean `{} lab.up`?"),
    (["catalog", "postgres"], "there is no task 'postgres': did you mean `{} catalog --for postgres`?"),
    (["--list", "nosuch"], "there is no group of tasks 'nosuch': the groups: campaign, drill, lab, "),
    (["--list", "drll"], "there is no group of tasks 'drll': did you mean 'drill'?"),
    (["drill.list", "--list", "drll"], "there is no group of tasks 'drll': did you mean 'drill'?"),
    (["--list", "--list-format", "xml"], "--list-format must be flat, nested or json, not 'xml'"),
    (["drill.list", "--list-depth", "x"], "--list-depth needs a whole number, not 'x'"),
]
INVOKE = [
    (["greet"], "greet: the name is missing; see `"),
    (["drill.list", "greet"], "greet: the name is missing; see `"),
    (["greet", "a", "--count", "x"], "--count needs a whole number, not 'x'"),
    (["drill.list", "greet", "a", "--share=x"], "--share needs a number, not 'x'"),
    (["greet", "a", "--count", "1", "--count", "2"], "greet: --count is given twice"),
    (["greet", "--maybe", "a", "b"], "'a' is ambiguous when given after an optional-value flag"),
    (["drill", "--dry", "first"], "--dry is not an option of this task; "),
    (["drill.list", "-c"], "drill.list: --collection needs a value: "),
]
DRILLBOOK = [
    (["-c"], "the program does not support invoke's option -c"),
    (["-D", "x", "--list"], "--list-depth needs a whole number, not 'x'"),
    (["--command-timeout", "x", "drill.list"], "--command-timeout needs a whole number, not 'x'"),
]


@pytest.mark.parametrize(
    ("how", "argv", "said"),
    [
        *(("invoke", *row) for row in (*BOTH, *INVOKE)),
        *(("drillbook", *row) for row in (*BOTH, *DRILLBOOK)),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_every_mistake_ends_with_status_2_and_an_error_line(folder, how, argv, said):
    (folder.root / "tasks.py").write_text(OWN + GREET)
    folder.write("", "first")
    done = invoke(folder, *argv) if how == "invoke" else folder.run(*argv)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert " ".join(done.stderr.split()).startswith(f"error: {said.replace('{}', how)}".strip()), done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OWN + "import nosuch\n", "tasks.py:13: ModuleNotFoundError: No module named 'nosuch'"),
        (
            "from drillbook import tasks\nnamespace = tasks.root()\n",
            "tasks.py:2: AttributeError: module 'drillbook.tasks' has no",
        ),
        (OWN + "import other\n", "other.py:1: SyntaxError: '(' was never closed"),
    ],
    ids=["import", "name", "syntax"],
)
def test_an_error_in_the_tasks_of_a_project_is_no_traceback(folder, text, said):
    (folder.root / "tasks.py").write_text(text)
    (folder.root / "other.py").write_text("x = (\n")
    done = invoke(folder, "drill.list")
    assert (done.returncode, done.stdout) == (2, "")
    first, hint = done.stderr.splitlines()
    assert first.startswith(f"error: the tasks of this project cannot be loaded: {said}")
    assert hint == "  hint: `python tasks.py` shows the whole traceback"


def test_an_error_of_a_task_of_the_project_keeps_its_traceback(folder):
    (folder.root / "tasks.py").write_text(OWN.replace('print("own", some_flag)', "raise ValueError('mine')"))
    done = invoke(folder, "my-task")
    assert (done.returncode, "Traceback" in done.stderr) == (1, True)
    assert done.stderr.endswith("ValueError: mine\n")


@pytest.mark.parametrize("task", ["campaign.collect", "campaign.approve"])
def test_help_behind_a_task_with_a_name_shows_its_examples(folder, task):
    done = folder.run(task, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"drillbook {task} quarterly --sites" in done.stdout


def test_a_drill_with_the_name_of_a_task_can_be_run(folder):
    folder.write("", "list")
    assert folder.run("drill", "list", "--dry").returncode == 0
