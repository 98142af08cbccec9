"""Commands in messages name the program: the source writes `invoke TASK`, and the called program replaces it."""

import ast
import re
from pathlib import Path

import pytest

from drillbook.cli.developer_tasks import TASKS as OF_DEVELOPERS
from drillbook.cli.tasks import namespace

SOURCE = Path("src/drillbook")
NAMES = {name for path, aliases in namespace().task_names.items() for name in (path, *aliases)} - {
    task.name for task in OF_DEVELOPERS
}
PROGRAMS = ("invoke ", "drillbook ", "{} ")
COMMAND = re.compile(
    rf"(?<![\w./=-])(?:"
    rf"(?:{'|'.join(re.escape(name) for name in NAMES if '.' in name)})\b(?!\.yml)|"
    rf"(?:{'|'.join(name for name in NAMES if '.' not in name)})(?= (?:--?[a-z]|[A-Z]{{2,}}\b))|"
    rf"(?<=: )(?:{'|'.join(name for name in NAMES if '.' not in name)})(?= \{{\}} --))"
)
"""Dotted names of tasks, and other names of tasks before an option or a value such as FILE."""
ALONE = re.compile(rf"`(?:{'|'.join(map(re.escape, NAMES))})(?: --settled)?`")
"""A name that refers to a task, and is no command to type."""
SHOWN_WITH_THE_PROGRAM = {
    ("cli/task_class.py", "EXAMPLES"),
    ("cli/scaffold.py", "FIRST"),
    ("cli/scaffold.py", "REHEARSAL"),
    ("cli/copied_entries.py", "commands"),
    ("cli/looked_project.py", "commands"),
    ("cli/start_screen.py", "TASKS"),
    ("cli/start_screen.py", "NEW"),
}
"""Commands that `with_examples`, `scaffold` and `start_screen` print after the name of the program, by their file and variable or function."""
REFERENCES = {
    ("audit/alert_commands.py", "drill.recover"): "a part of a command that is looked for",
    ("audit/alert_commands.py", "schedule.retire"): "a part of a command that is looked for",
    ("cli/ci_files.py", "drill"): "the account of the command `su`",
    ("cli/sudoers.py", "drill.check"): "a remark in a file: what the rules tell to the task",
    ("report/end_state.py", "drill.recover"): "the task recorded something",
    ("report/recovery_rows.py", "drill.recover"): "somebody started the task, and when it began",
    ("report/unproven_faults.py", "drill.recover"): "the task carried out or recorded something",
}


def texts(tree):
    """Strings of a module without its docstrings, with ``{}`` instead of inserted values. Each comes with its line and the
    names of the variables and functions around it.
    """

    def visit(node, around):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        if isinstance(node, ast.JoinedStr):
            yield (
                "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values),
                node.lineno,
                around,
            )
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno, around
        if isinstance(node, ast.FunctionDef):
            around = {*around, node.name}
        if isinstance(node, ast.Assign):
            around = {*around, *(target.id for target in node.targets if isinstance(target, ast.Name))}
        for child in ast.iter_child_nodes(node):
            yield from visit(child, around)

    return visit(tree, set())


def unnamed(text):
    """Commands in ``text`` without a program. A text that is only the name of a task is an argument of a process."""
    rest = ALONE.sub("", text)
    return (
        []
        if text in NAMES
        else [found[0] for found in COMMAND.finditer(rest) if not rest[: found.start()].endswith(PROGRAMS)]
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("schedule.install --systemd", ["schedule.install"]),
        ("campaign NAME --sites FILE", ["campaign"]),
        ("it continues with: campaign --resume {}", ["campaign"]),
        ("run the drill with another account: drill {} --inventory {}", ["drill"]),
        ("invoke campaign NAME --sites FILE", []),
        ("read `{} drill.recover RUN`", []),
        ("what `drill.check` finds", []),
        ("the report of a campaign, or a drill of SQL", []),
    ],
)
def test_what_a_command_without_a_program_is(text, found):
    assert unnamed(text) == found


def test_every_command_of_a_message_names_the_program():
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        for text, line, around in texts(ast.parse(path.read_text())):
            if not any((name, one) in SHOWN_WITH_THE_PROGRAM for one in around):
                found += [f"{name}:{line}: {task}" for task in unnamed(text) if (name, task) not in REFERENCES]
    assert not found, "\n".join(found)


def test_no_message_points_to_a_page_as_a_file_of_the_repository():
    """A wheel has no ``docs/``, so messages name the title of the page."""
    of_developers = ("reference/", "cli/developer_tasks.py")
    said = [
        f"{path}:{line}: {text}"
        for path in sorted(SOURCE.rglob("*.py"))
        if not str(path.relative_to(SOURCE)).startswith(of_developers)
        for text, line, _ in texts(ast.parse(path.read_text()))
        if re.search(r"docs/[a-z-]+\.md", text)
    ]
    templates = (path for path in sorted(SOURCE.rglob("*")) if path.is_file() and not path.name.endswith((".py", ".pyc")))
    said += [str(path) for path in templates if re.search(rb"docs/[a-z-]+\.md", path.read_bytes())]
    assert said == []


def test_each_page_that_a_message_names_exists():
    pages = (SOURCE.parents[1] / "docs").rglob("*.md")
    titles = {title for path in pages for title in re.findall("^# (.+)", path.read_text(), re.MULTILINE)}
    named = {
        page
        for path in SOURCE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
        for page in re.findall(r"`([^`{}]+)` in the documentation", path.read_text(errors="replace"))
    }
    assert named
    assert named - titles == set()
