"""Layers: each package imports only packages above it in ORDER. Read from the source with ``ast``; no code runs."""

import ast
import graphlib
from pathlib import Path

import pytest

from drillbook.sdk import discovery

PACKAGE = Path(__file__).parents[2] / "src" / "drillbook"

ORDER = """
exits         exit statuses of all tasks
findings      every finding: code, severity, title, remedy
errors        every error and its exit status
installation  how the program was installed and called
events        content of journal events, one model a kind
values        durations, sizes, secrets, digests
encodings     forms in which programs print a secret
redact        one redactor for all that is written
atomic_file   files replaced whole, flushed to the disk
statistics    quantiles and lines of samples
signing       keys, signatures, the account of this process
language      YAML as people read it, expressions, host patterns
sdk           all that a system is written against
systems       one package a system
inventory     hosts, groups, services, contacts
diagnosis     trees, gathering, ranking
plan          drill and inventory -> plan
journal       the record of a run
judge         events -> clocks, losses, findings, verdict
report        result -> HTML, Markdown, JUnit, terminal
catalog       drills, suites, trees and lab files that ship
lab           the embedded and the Docker lab
project       the folder of drills, inventories and runs
attestation   what a run left, signed and verified
audit         the record of a period
trust         commands of a project that somebody trusted
hosts         carriers of the Host port
telemetry     traces of runs
engine        runner, leases, undo, recovery
notify        messages to contacts
reference     pages of docs/ made from the code
campaign      one drill over many sites
cli           the invoke tasks and what they show
tasks         the import path of tasks.py in projects
"""
"""Packages and top-level modules in the order of imports: each imports only those above it, inside functions too."""
RANK = {line.split()[0]: rank for rank, line in enumerate(ORDER.strip().splitlines())}
BELOW_SYSTEMS = {name for name, rank in RANK.items() if rank < RANK["systems"]}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path):
    """Dotted names inside the package that ``path`` imports, also in functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("drillbook.") and name.split(".")[1] != "__version__":
                yield name.split(".")[1:], node.lineno


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_upwards_in_the_order(path):
    name = room(path)
    if name == "__init__":
        return
    assert name in RANK, f"{name} has no place in ORDER: give it a line"
    for (other, *_), line in imported(path):
        assert other in RANK, f"{path}:{line}: {other} has no place in ORDER"
        assert other == name or RANK[other] < RANK[name], f"{path}:{line}: {name} may not import {other}"


def dotted(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def test_no_modules_import_each_other_in_a_circle():
    """Imports under TYPE_CHECKING and in functions count too: move what two modules share to a module that both import."""
    known = {dotted(path): path for path in MODULES if path.parent != PACKAGE or path.stem != "__init__"}
    graph = {}
    for name, path in known.items():
        whole = [".".join(words) for words, _ in imported(path)]
        used = {word if word in known else word.rpartition(".")[0] for word in whole}
        graph[name] = used & known.keys() - {name}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


REASONS = {
    "keeps start-up fast": "a package or module of Drillbook that only some tasks need",
    "slow to load": "a library, or a module that loads one, needed only at this call",
    "loads the SSH client": "Paramiko and Fabric, needed only for hosts that are reached by SSH",
    "imports every action": "the modules of all systems, needed only for lists of all actions",
    "an extra": "a library that only an extra installs, or a module that imports one",
    "an extra, and slow to load": "both",
}
"""All reasons for an import inside a function: start-up time, and libraries of extras. A cycle of imports is none."""


def _inner(tree):
    """Imports inside functions."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from (node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom))


def test_an_import_inside_a_function_has_one_of_the_reasons():
    used = set()
    for path in MODULES:
        lines = path.read_text().splitlines()
        for node in _inner(ast.parse(path.read_text())):
            line = lines[node.lineno - 1]
            reason = line.partition("  # noqa: PLC0415  ")[2]
            assert reason in REASONS, f"{path}:{node.lineno}: not one of the reasons: {line}"
            used.add(reason)
    assert used == set(REASONS)


def _dotted(path):
    """Name of a module, as imports write it."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


BY_NAME = {_dotted(path): path for path in MODULES}


def _named(node):
    """Modules of the package that an import names."""
    names = [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        names = [full if (full := f"{node.module}.{name}") in BY_NAME else node.module for name in names]
    return BY_NAME.keys() & set(names)


def _at_the_top(tree):
    """Modules that a module imports when it is itself imported."""
    todo = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _named(node)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef) and "TYPE_CHECKING" not in ast.unparse(node):
            todo += ast.iter_child_nodes(node)


def test_no_import_inside_a_function_gets_round_a_cycle():
    trees = {name: ast.parse(path.read_text()) for name, path in BY_NAME.items()}
    top = {name: set(_at_the_top(tree)) for name, tree in trees.items()}

    def reached(name):
        seen, todo = set(), [name]
        while todo:
            todo += (new := top[todo.pop()] - seen)
            seen |= new
        return seen

    inner = [(name, other) for name, tree in trees.items() for node in _inner(tree) for other in _named(node)]
    assert len(inner) > 50
    assert [(name, other) for name, other in inner if name == other or name in reached(other)] == []


SYSTEMS = {system.name: system for system in discovery.systems() if system.package.startswith(discovery.BUILT_IN)}


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_a_system_imports_the_sdk_and_the_systems_that_it_declares(name):
    for path in (PACKAGE / "systems" / name).rglob("*.py"):
        for (other, *rest), line in imported(path):
            if other == "systems":
                assert rest[0] == name or rest[0] in SYSTEMS[name].needs, f"{path}:{line}: needs={rest[0]!r} is not declared"
            else:
                assert other in BELOW_SYSTEMS, f"{path}:{line}: a system may not import {other}"


def test_needs_are_true():
    for name, system in SYSTEMS.items():
        used = {
            rest[0]
            for path in (PACKAGE / "systems" / name).rglob("*.py")
            for (other, *rest), _ in imported(path)
            if other == "systems"
        }
        assert set(system.needs) == used - {name}, name


@pytest.mark.parametrize(
    "path", [path for path in MODULES if room(path) != "systems"], ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_nothing_imports_a_system_by_its_name(path):
    assert [line for (other, *_), line in imported(path) if other == "systems"] == []


def test_the_ground_is_at_most_six_modules():
    flat = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert len(flat) <= 6, flat


PACKAGES = [path for path in MODULES if path.name == "__init__.py"]
WITHOUT_CONTENT = {"drillbook", "drillbook.tasks"}
"""The whole program, and the import path of the tasks: neither has code of its own."""


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_package_says_what_lives_in_it_and_what_does_not(path):
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert len(said) > 30, path
    if _dotted(path) not in WITHOUT_CONTENT:
        assert "\nLives here: " in said, path
        assert "\nLives elsewhere: " in said, path


@pytest.mark.parametrize("name", ["judge", "report"])
def test_the_judge_and_the_reports_never_see_a_host(name):
    seen, todo = set(), [name]
    while todo:
        current = todo.pop()
        path = PACKAGE / f"{current}.py"
        files = [path] if path.exists() else sorted((PACKAGE / current).rglob("*.py"))
        for other in {other for file in files for (other, *_), _ in imported(file)} - seen:
            seen.add(other)
            todo.append(other)
    assert not seen & {"hosts", "systems", "lab", "engine"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_stay_small(path):
    tree = ast.parse(path.read_text())
    assert len(path.read_text().splitlines()) <= 400
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 40, f"{path.name}:{node.lineno}: {node.name} has {length} lines"


def test_names_are_the_fields_words():
    assert not {path.stem for path in MODULES} & {"utils", "common", "helpers", "base", "core", "misc"}
