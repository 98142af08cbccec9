"""Plugin of pytest that collects the tests once, and then forks for each mutant, so that imports and collection are
not repeated. In a fork, the functions that a mutant changes get their new code, and the tests that enter them run
until one fails. A mutant outside of functions (a constant, a class) needs a new process, which imports the changed
file.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from hypothesis import Phase, settings

SLOWER, MORE_S = 6.0, 20.0
"""Time limit of a test with a mutant: a multiple of its normal time, plus some seconds; after it, the mutant counts
as killed.
"""
BEGUN = "begun "
"""Prefix of the line with the name of a test that a fork begins."""
OWN_S, BUDGET_S = 60.0, 30.0
"""Time for the tests of one mutant, by their normal durations: of the module's own tests, and of all others."""
AT_LEAST = 12
"""Number of tests that run for a mutant regardless of their duration."""


Reached = dict[str, dict[str, Any]]
"""Each test: its ``seconds``, whether it ``failed``, and the functions that it ``enters``."""


class Work:
    """Input of this session: a file of mutants, one for results, and the folder of the copied tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = folder / "tree"
        self.mutants: list[dict[str, Any]] = json.loads((folder / "mutants.json").read_text())
        self.modules: dict[str, str] = json.loads((folder / "modules.json").read_text())
        self.reach = Path(os.environ["MUTANTS_REACH"])
        written = tomllib.loads((self.tree / "pyproject.toml").read_text())["tool"]["mutants"]
        self.own: dict[str, str] = written.get("own", {})

    def tell(self, **data: Any) -> None:
        with (self.folder / "results.jsonl").open("a") as file:
            file.write(json.dumps(data) + "\n")


def pytest_configure() -> None:
    """Do not search for the smallest failing example, because any failure is sufficient."""
    settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), database=None)
    settings.load_profile("mutants")


def pytest_runtestloop(session: pytest.Session) -> bool:
    work = Work(Path(os.environ["MUTANTS_WORK"]))
    gc.freeze()
    reached = measured(session, work)
    if os.environ.get("MUTANTS_ONLY_REACH"):
        return True
    for mutant in work.mutants:
        started = time.monotonic()
        killer, ran = tried(session, work, mutant, reached)
        work.tell(number=mutant["number"], killer=killer, tests=ran, seconds=round(time.monotonic() - started, 2))
    return True


def measured(session: pytest.Session, work: Work) -> dict[str, dict[str, Any]]:
    """Tests with their seconds and the functions that they enter, without tests that fail without any mutant."""
    known: Reached = json.loads(work.reach.read_text()) if work.reach.exists() else {}
    new = [item for item in session.items if item.nodeid not in known]
    if new:
        files = {str(work.tree / path): module for module, path in work.modules.items()}
        forked(lambda tell: measure(session, new, files, known, work.reach), 3000)
    found: Reached = json.loads(work.reach.read_text())
    there = {item.nodeid for item in session.items}
    return {name: test for name, test in found.items() if name in there}


def measure(session: pytest.Session, items: list[pytest.Item], files: dict[str, str], known: Reached, target: Path) -> None:
    """Run ``items`` and record the functions of ``files`` that each enters, in all threads, in addition to ``known``."""
    entered: set[str] = set()

    def trace(frame: Any, event: str, arg: object) -> None:
        module = files.get(frame.f_code.co_filename)
        if module:
            entered.add(f"{module}:{outer(frame.f_code.co_qualname)}")

    tests = dict(known)
    threading.settrace(trace)  # type: ignore[arg-type]
    for item, following in pairs(items):
        entered.clear()
        started = time.monotonic()
        sys.settrace(trace)  # type: ignore[arg-type]
        try:
            failed = failure(session, [item], following)
        finally:
            sys.settrace(None)
        tests[item.nodeid] = {"seconds": time.monotonic() - started, "failed": bool(failed), "enters": sorted(entered)}
    partial = target.with_suffix(".new")
    partial.write_text(json.dumps(tests))
    partial.replace(target)


def outer(qualname: str) -> str:
    """Name of the outermost function, because a function inside it is created again at each call."""
    return qualname.partition(".<locals>")[0]


def pairs(items: list[pytest.Item]) -> Iterable[tuple[pytest.Item, pytest.Item | None]]:
    return zip(items, [*items[1:], None], strict=True)


class Listener:
    """Records the first failure, and reports the test that begins."""

    def __init__(self, begins: Callable[[str], object]) -> None:
        self.failed, self.begins = "", begins

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.begins(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


def failure(
    session: pytest.Session,
    items: list[pytest.Item],
    last: pytest.Item | None = None,
    begins: Callable[[str], object] = lambda name: None,
) -> str:
    """Name of the first failing test of ``items``; '' when all pass."""
    listener = Listener(begins)
    session.config.pluginmanager.register(listener)
    try:
        for item, following in pairs(items):
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following or last)
            if listener.failed:
                break
    finally:
        session.config.pluginmanager.unregister(listener)
    return listener.failed


def tried(session: pytest.Session, work: Work, mutant: dict[str, Any], reached: Reached) -> tuple[str, int]:
    """Test that killed ``mutant``, '' when none did, and the number of selected tests."""
    module, path = mutant["module"], work.tree / work.modules[mutant["module"]]
    source = path.read_text()
    before = functions(compile(source, str(path), "exec", dont_inherit=True))
    after = functions(compile(mutant["source"], str(path), "exec", dont_inherit=True))
    changed = {name for name in before if name in after and before[name] != after[name]}
    fast = (
        bool(changed)
        and not outside(source, mutant["source"], path)
        and all(fits(before[name], after[name]) for name in changed)
    )
    wanted = chosen(module, work.own.get(module, f"test_{module.rpartition('/')[2]}"), changed if fast else set(), reached)
    if not wanted:
        return "", 0
    limits = {name: MORE_S + SLOWER * reached[name]["seconds"] for name in wanted}
    path.write_text(mutant["source"])
    try:
        if not fast:
            return anew(work, wanted, MORE_S + sum(SLOWER * reached[name]["seconds"] for name in wanted)), len(wanted)
        items = {item.nodeid: item for item in session.items}

        def changed_and_run(names: list[str]) -> str:
            def run(tell: Callable[[str], object]) -> None:
                for name in changed:
                    for function in living(path, before[name]):
                        function.__code__ = after[name]
                tell(failure(session, [items[name] for name in names], begins=lambda name: tell(f"{BEGUN}{name}")))

            return forked(run, MORE_S, limits)

        left = wanted
        while killer := changed_and_run(left):
            # On a busy machine a test may fail by chance, so only a second failure counts.
            if killer not in items or changed_and_run([killer]):
                return killer, len(wanted)
            left = left[left.index(killer) + 1 :]
            if not left:
                break
        return "", len(wanted)
    finally:
        path.write_text(source)


def chosen(module: str, meant: str, changed: set[str], reached: dict[str, dict[str, Any]]) -> list[str]:
    """Limited list of the tests that enter the changed code, or any code of the module: first those whose name
    contains ``meant``, then the fast ones.
    """
    names = {f"{module}:{name}" for name in changed}
    fitting = [
        (test["seconds"], name)
        for name, test in reached.items()
        if not test["failed"]
        and (names & set(test["enters"]) if names else any(one.startswith(f"{module}:") for one in test["enters"]))
    ]
    own = sorted(one for one in fitting if meant in one[1])
    found: list[str] = []
    for some, budget in ((own, OWN_S), (sorted(set(fitting) - set(own)), BUDGET_S)):
        spent = 0.0
        for seconds, name in some:
            if spent + seconds <= budget or len(found) < AT_LEAST:
                spent += seconds
                found.append(name)
    return found


def functions(code: CodeType, prefix: str = "") -> dict[str, CodeType]:
    """Code of every function of a module and its classes, by qualified name."""
    found: dict[str, CodeType] = {}
    for one in code.co_consts:
        if isinstance(one, CodeType):
            if one.co_flags & 0x02:  # CO_NEWLOCALS: a function, not the body of a class
                found.setdefault(one.co_qualname, one)
            else:
                found |= functions(one)
    return found


def outside(before: str, after: str, path: Path) -> bool:
    """Return True when code that runs at the import of the module differs: constants, classes, default values."""
    return skeleton(compile(before, str(path), "exec", dont_inherit=True)) != skeleton(
        compile(after, str(path), "exec", dont_inherit=True)
    )


def skeleton(code: CodeType) -> tuple[Any, ...]:
    inner = [
        skeleton(one)
        if isinstance(one, CodeType) and not one.co_flags & 0x02
        else one.co_qualname
        if isinstance(one, CodeType)
        else (type(one).__name__, one)
        for one in code.co_consts
    ]
    return code.co_code, code.co_names, inner


def fits(old: CodeType, new: CodeType) -> bool:
    return old.co_freevars == new.co_freevars


def living(path: Path, code: CodeType) -> list[FunctionType]:
    """Existing functions with this code."""
    return [
        one
        for one in gc.get_objects()
        if isinstance(one, FunctionType)
        and one.__code__.co_filename == str(path)
        and one.__code__.co_qualname == code.co_qualname
    ] or [
        one for one in unfrozen() if one.__code__.co_filename == str(path) and one.__code__.co_qualname == code.co_qualname
    ]


def unfrozen() -> list[FunctionType]:
    gc.unfreeze()
    return [one for one in gc.get_objects() if isinstance(one, FunctionType)]


def anew(work: Work, wanted: list[str], limit: float) -> str:
    """First test of ``wanted`` that fails in a new process."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MUTANTS_")}
    argv = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"--basetemp={work.folder}/anew", *wanted]
    with (work.folder / "anew.log").open("wb") as log:
        child = subprocess.Popen(
            argv, cwd=work.tree, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            status = child.wait(limit + 20)
        except subprocess.TimeoutExpired:
            return "time is over"
        finally:
            end(child.pid)
    return "" if status == 0 else f"a new process (status {status})"


def end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def forked(body: Callable[[Callable[[str], object]], None], limit: float, limits: Mapping[str, float] | None = None) -> str:
    """Run ``body`` in a separate process, and return its last words, also if it crashes or exceeds its time.

    The process may report that a test has ``BEGUN``, which then has its own time from ``limits`` instead of
    ``limit``.
    """
    sys.stdout.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setsid()
            alone()
            body(lambda text: os.write(writer, f"{text}\n".encode()))
            status = 0
        except BaseException as error:  # noqa: BLE001  whatever it is, this process must not go on
            os.write(writer, f"{type(error).__name__} broke the session\n".encode())
        finally:
            os._exit(status)
    os.close(writer)
    try:
        return told(reader, limit, limits or {})
    finally:
        end(pid)
        os.waitpid(pid, 0)
        os.close(reader)


def told(reader: int, limit: float, limits: Mapping[str, float]) -> str:
    """Print the line with which a fork ends; see ``forked``."""
    text = ""
    while True:
        ready, _, _ = select.select([reader], [], [], limit)
        if not ready:
            return "time is over"
        piece = os.read(reader, 65536).decode()
        if not piece:
            return "the process ended"
        text += piece
        *lines, text = text.split("\n")
        for line in lines:
            if not line.startswith(BEGUN):
                return line
            limit = limits.get(line.removeprefix(BEGUN), limit)


def alone() -> None:
    """Give this fork separate files."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the first test of a fork create a separate folder for temporary files."""
    factory = item.config._tmp_path_factory  # type: ignore[attr-defined]
    if getattr(factory, "_of_fork", None) != os.getpid():
        factory._of_fork = os.getpid()
        factory._basetemp = None
        factory._given_basetemp = Path(os.environ["MUTANTS_WORK"]) / "tmp"
