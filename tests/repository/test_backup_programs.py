"""Programs in the scripts of backup sources: a check before a drill looks for each, and the page of needs lists it."""

import ast
import re
from pathlib import Path

import pytest

from drillbook.sdk import isolation
from drillbook.sdk.host_needs import BASE
from drillbook.systems.mariadb.dump_source import MariadbDump
from drillbook.systems.mariadb.mariabackup_source import Mariabackup
from drillbook.systems.pgbackrest.source import PgBackRest
from drillbook.systems.postgres.source import PgDumpSource
from drillbook.systems.redis.aof_source import AofSource
from drillbook.systems.redis.rdb_source import RdbSource
from drillbook.systems.restic.source import ResticSource
from drillbook.systems.sqlite.source import SqliteSource
from drillbook.systems.tar.source import TarSource

PACKAGE = Path(__file__).parents[2] / "src" / "drillbook"
SOURCES = {
    PgDumpSource: "postgres: source dump_reading dump_restoring dump_start disposable_server",
    PgBackRest: "pgbackrest: source archive programs recovery repository verification; postgres: disposable_server",
    MariadbDump: "mariadb: dump_source dump_reading disposable_server",
    Mariabackup: "mariadb: mariabackup_source copied_files stored_pages disposable_server",
    RdbSource: "redis: rdb_source verification disposable_server/sandboxed",
    AofSource: "redis: aof_source verification disposable_server/sandboxed",
    ResticSource: "restic: source repository",
    SqliteSource: "sqlite: source",
    TarSource: "tar: source",
}
"""Modules that run programs for each kind of source, without restores into a service itself."""
SANDBOX = ("isolation", "sandbox", "sandbox_budget", "sandbox_place")
_SHELL = """
. : [ break case command continue cd do done echo elif else esac eval exec exit export false fi for if in jobs kill local printf pwd
read return set shift test then time times trap true type ulimit umask unset until wait while
"""
SHELL = frozenset(_SHELL.split())
"""Keywords and builtins of the shell."""
OTHERWISE = {
    "docker": "only for containers, whose check asks the engine",
    "setfacl": "`Sandbox.must_admit` looks for it",
    "findmnt": "without it, a folder is compared by its inodes alone",
    "timeout": "only with bash, which proves the isolation of `isolation: none`",
    "mktemp": "without it, the newest moment of a log is the end of the backup",
    "innochecksum": "without it, the facts say that pages were not verified",
    "sha1sum": "without it, the facts of a check say that the log was not read; a restore needs it",
    "prlimit": "the try of a sandbox looks for it",
    "unshare": "the try of a sandbox starts it",
    "tar": "only for a dump in tar format, whose check looks for it",
    "restic": "`ready` and `ready_sandbox` ask for its version",
    "python3": "`need_python`",
    "sh": "every host needs it",
}
"""Programs of scripts that are not in the lists of a source, each with the reason."""
OF_OTHERS = re.compile(r"BEGIN \{|(?m:^import |^use [A-Z])")
"""Embedded programs in awk, Python and Perl."""
COMMAND = re.compile(
    r"(?:^|[\n;|&({]|(?<!\$)!|\$\(|\b(?:then|do|else|elif|if|while|until|exec|LC_ALL=C)\b)\s*(?=([a-z][a-z0-9_-]*)(?:[\s;|&)]|$))"
)


def words(script):
    """Names of the programs that a script for `sh` starts, except those in its variables."""
    text = re.sub(r"(?m)(?:^|\s)# .*$", "", script).replace("\\\n", " ")
    text = re.sub(r"'[^']*'", "Q", text)
    text = re.sub(r'"(?:[^"$]|\$(?!\())*"', "Q", text)
    text = re.sub(r"\$\(\((?:[^()]|\([^()]*\))*\)\)", "1", text)
    text = re.sub(r"(?m)^\s*[a-z0-9.* |-]+\)", "Q;", text)  # a pattern of a case
    own = set(re.findall(r"\b([a-z_]+)\(\)", text))
    return {word for word in COMMAND.findall(text) if word not in SHELL} - own


def texts(node):
    if isinstance(node, ast.BinOp):
        return f"{texts(node.left)}\n{texts(node.right)}"
    return "".join(one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str))


def started(path):
    """Programs that a module starts: in its scripts, and as the first word of a command."""
    found, tree = set(), ast.parse(path.read_text())
    named = {
        target.id: texts(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    own = set(re.findall(r"\b([a-z_]+)\(\)", "".join(named.values())))
    for name, text in named.items():
        if name.isupper() and re.search(r'"\$[1-9@a-z{]', text) and not OF_OTHERS.search(text):
            found |= words(text) - own
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "run" and node.args:
            first = node.args[0].elts[0] if isinstance(node.args[0], ast.Tuple) else node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value)
    return found - SHELL


def of_source(modules):
    parts = [part.partition(": ") for part in modules.split("; ")]
    paths = [PACKAGE / "systems" / system / f"{name}.py" for system, _, names in parts for name in names.split()]
    functions = set(re.findall(r"(?m)^([a-z_]+)\(\) ?\{", "".join(path.read_text() for path in paths)))
    return set().union(*(started(path) for path in paths)) - functions


def test_the_reader_finds_the_programs_of_a_script():
    script = """
own() { sed -n 's/x/y/p' | tail -n 1; }
# a remark; nothing
if test -e "$1"; then LC_ALL=C sort "$1" | own; else for name; do du "$name" && break; done; fi
held=$(stat -c %s "$1") || { "$program" "$@"; awk '{ print; next }'; }
"""
    assert words(script) == {"sed", "tail", "sort", "du", "stat", "awk"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_the_programs_of_a_source_are_looked_for_before_a_drill(source):
    found, declared = of_source(SOURCES[source]), {*source.PROGRAMS, *source.RESTORE_PROGRAMS}
    assert found
    assert found - declared - OTHERWISE.keys() == set()
    assert set(source.LIST_PROGRAMS) <= set(source.PROGRAMS)


def test_the_programs_of_every_sandbox_are_looked_for_before_a_drill():
    found = set().union(*(started(PACKAGE / "sdk" / f"{name}.py") for name in SANDBOX))
    assert found - {*isolation.PROGRAMS} - OTHERWISE.keys() == set()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_the_page_names_the_programs_of_a_source(source):
    _, needs = source.METHOD
    declared = {*source.PROGRAMS, *source.LIST_PROGRAMS, *source.RESTORE_PROGRAMS, *isolation.PROGRAMS}
    assert {name for name in declared - set(BASE) if f"`{name}`" not in needs} == set()
