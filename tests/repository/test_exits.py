"""Exit statuses of the tasks: named by ``drillbook.exits``, and nowhere a number."""

import ast
from pathlib import Path

from drillbook.exits import Exit

SOURCE = Path(__file__).parents[2] / "src" / "drillbook"
OF_PROGRAMS = {"systems", "hosts", "sdk", "lab"}
"""Packages that run programs on hosts, or are started as programs of their own: the statuses there are of those programs."""
OF_COMMANDS = ("command.exit", "commands[number].exit")
"""Status of a command that a step ran on a host, in reports."""
TASKS = {"cli", "tasks"}
"""Packages whose functions with a number as the result return exit statuses."""
NAMES = {"exit", "exit_status"}


def number(node):
    return isinstance(node, ast.Constant) and type(node.value) is int


def key(node):
    """Return the key of `result["exit"]` or `result.get("exit")`, as a constant node. None for every other expression."""
    match node:
        case ast.Subscript(slice=ast.Constant() as constant):
            return constant
        case ast.Call(func=ast.Attribute(attr="get" | "pop"), args=[ast.Constant() as constant, *_]):
            return constant
    return None


def named(node):
    """Return True for `x.exit`, `exit_status`, `result["exit"]` and the like, of a task."""
    if constant := key(node):
        return constant.value in NAMES
    name = getattr(node, "attr", getattr(node, "id", getattr(node, "arg", None)))
    return name in NAMES and ast.unparse(node) not in OF_COMMANDS


def returned(function):
    """Results that a function returns, both of a conditional one."""
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            yield from (node.value.body, node.value.orelse) if isinstance(node.value, ast.IfExp) else (node.value,)
            yield from (part.value for part in ast.walk(node) if isinstance(part, ast.keyword) and part.arg == "default")


def bare(source, package):
    """Lines with an exit status as a bare number: a comparison, an assignment, a keyword, `sys.exit`, a task's result."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Compare():
                parts = [node.left, *node.comparators]
                wrong = any(map(named, parts)) and any(map(number, parts))
            case ast.Assign() | ast.AnnAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                wrong = any(map(named, targets)) and number(node.value)
            case ast.keyword():
                wrong = named(node) and number(node.value)
            case ast.Call(func=ast.Attribute(attr="exit" | "_exit") | ast.Name(id="SystemExit")):
                wrong = any(map(number, node.args))
            case ast.FunctionDef(returns=ast.Name(id="int")):
                wrong = package in TASKS and any(map(number, returned(node)))
            case _:
                wrong = False
        if wrong:
            yield node.lineno if not isinstance(node, ast.keyword) else node.value.lineno


def test_exit_statuses_are_named():
    found = [
        f"{path.relative_to(SOURCE)}:{line}"
        for path in sorted(SOURCE.rglob("*.py"))
        if (package := path.relative_to(SOURCE).parts[0]) not in OF_PROGRAMS and path.name != "exits.py"
        for line in bare(path.read_text(), package)
    ]
    assert not found, "\n".join(["name them by drillbook.exits:", *found])


def test_a_bare_number_is_seen():
    wrong = """
if ended.exit != 5: pass
class Check:
    exit: int = 0
Check(exit=3)
if result["exit"] == 0 or result.get("exit", 3) == 0: pass
result["exit"] = 4
sys.exit(2)
raise SystemExit(1)
def task() -> int:
    return 0 if well else status
"""
    assert sorted(bare(wrong, "cli")) == [2, 4, 5, 6, 6, 7, 8, 9, 10]
    right = """
if ended.exit != Exit.RESIDUE or command.exit != 0: pass
if result["exit"] == Exit.OK or result.get("lines") == 0: pass
def width() -> int:
    return 0
def task() -> int:
    return Exit.OK
"""
    assert list(bare(right, "report")) == []


def test_the_page_of_exit_statuses_shows_each():
    page = (SOURCE.parents[1] / "docs" / "errors.md").read_text()
    told = {int(cell) for line in page.splitlines() for cell in line.split("|") if cell.strip().isdecimal()}
    assert {*Exit} - {Exit.BROKEN_PIPE} <= told
