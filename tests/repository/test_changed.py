"""Effect of a change: the commit to compare with, and the tests that all run after it."""

from __future__ import annotations

import subprocess
from pathlib import PurePosixPath

import pytest

from tests import changed
from tests.changed import Change

MODULE = "src/drillbook/engine/steps.py"


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A repository with two commits on main, and a function that makes another commit."""
    monkeypatch.delenv("DRILLBOOK_SINCE", raising=False)

    def git(*words):
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.read_text() + "1\n" if path.exists() else "0\n")
        git("add", ".")
        git("commit", "-q", "-m", name)
        return git("rev-parse", "HEAD")

    git("init", "-q", "-b", "main")
    commit("src/drillbook/a.py")
    commit(MODULE)
    return tmp_path, git, commit


def found(folder):
    return {str(path) for path in changed.paths(folder)}


def test_on_main_it_is_the_last_commit_and_what_is_not_committed(clone):
    folder, _, commit = clone
    assert found(folder) == {MODULE}
    commit("CHANGELOG.md")
    assert found(folder) == set()
    (folder / MODULE).write_text("2\n")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_new.py").touch()
    assert found(folder) == {MODULE, "tests/test_new.py"}


def test_a_module_with_other_words_and_the_same_code_is_not_changed(clone):
    folder, git, _ = clone
    code = '"""{}"""\nLIMIT = 3\n"""{}"""\n\n\ndef f():\n    """{}"""\n    return "a"  # {}\n'

    def told(text):
        (folder / MODULE).write_text(text)
        git("commit", "-qam", "words")
        return found(folder)

    assert told(code.format(*"abcd")) == {MODULE}
    assert told(code.format(*"efgh")) == set()
    assert told(code.format(*"efgh").replace('return "a"', 'return "b"')) == {MODULE}
    assert told(code.format(*"efgh").replace("return", "return =")) == {MODULE}, "a file that is no Python counts as it is"


def test_on_a_branch_it_is_all_of_the_branch(clone):
    folder, git, commit = clone
    git("checkout", "-q", "-b", "other")
    commit("tests/a/test_a.py")
    commit("tests/b/test_b.py")
    assert found(folder) == {"tests/a/test_a.py", "tests/b/test_b.py"}


def test_ci_may_name_the_commit_that_it_saw_last(clone, monkeypatch):
    folder, git, commit = clone
    before = git("rev-parse", "HEAD")
    commit("tests/a/test_a.py")
    commit("tests/b/test_b.py")
    assert found(folder) == {"tests/b/test_b.py"}
    monkeypatch.setenv("DRILLBOOK_SINCE", before)
    assert found(folder) == {"tests/a/test_a.py", "tests/b/test_b.py"}
    monkeypatch.setenv("DRILLBOOK_SINCE", "0" * 40)
    assert found(folder) == {"tests/b/test_b.py"}, "what is no commit names none"


def test_without_a_history_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.delenv("DRILLBOOK_SINCE", raising=False)
    assert found(tmp_path) == set()


def held(*paths):
    change = Change([PurePosixPath(path) for path in paths])
    return lambda file: change.holds(f"tests/{file}")


def test_tests_that_follow_a_page_or_a_template_run_after_its_change(clone):
    folder, _, commit = clone
    commit("docs/sandbox.md")
    assert found(folder) == {"docs/sandbox.md"}
    holds = held("docs/sandbox.md")
    assert holds("repository/test_wheel.py")
    assert holds("repository/test_site.py")
    assert not holds("repository/test_tutorial.py")
    assert held("src/drillbook/systems/postgres/rehearsal/postgres.yml")("repository/test_wheel.py")
    for file, places in changed.FOLLOWED.items():
        assert all((changed.ROOT / name).exists() for name in (file, *places)), file


def test_all_tests_of_a_changed_room_run_and_no_others():
    holds = held(
        "src/drillbook/systems/postgres/actions/faults/tables.py", MODULE, "src/drillbook/values.py", "tests/cli/test_x.py"
    )
    assert all(
        map(holds, ("systems/postgres/test_dump.py", "engine/leases/test_lock.py", "ground/test_values.py", "cli/test_x.py"))
    )
    assert not any(map(holds, ("systems/redis/test_a.py", "systems/test_a.py", "e2e/test_hold.py", "cli/test_y.py")))


def test_after_a_change_of_many_rooms_the_tests_of_the_changed_modules_run():
    holds = held(MODULE, *(f"src/drillbook/{room}/text.py" for room in ("audit", "cli", "hosts", "report")))
    assert holds("engine/test_steps.py")
    assert holds("engine/test_steps_cases.py")
    assert not any(map(holds, ("engine/test_hold.py", "engine/test_stepsize.py", "judge/test_steps.py")))


def test_a_package_itself_is_tested_by_the_file_of_its_name():
    holds = held(
        "src/drillbook/engine/leases/__init__.py", *(f"src/drillbook/{room}/a.py" for room in ("audit", "cli", "hosts"))
    )
    assert holds("engine/test_leases.py")


MANY = [f"src/drillbook/{room}/a.py" for room in ("audit", "cli", "hosts")]


def test_a_module_of_an_inner_package_is_tested_by_the_file_of_the_package():
    holds = held(
        "src/drillbook/systems/postgres/actions/comparison/production.py", "src/drillbook/engine/leases/watch.py", *MANY
    )
    assert all(
        map(
            holds,
            (
                "systems/postgres/test_actions.py",
                "systems/postgres/test_actions_locks.py",
                "systems/postgres/test_production.py",
                "engine/test_leases.py",
                "engine/leases/test_watch.py",
            ),
        )
    )
    assert not any(
        map(holds, ("systems/redis/test_actions.py", "systems/postgres/test_postgres.py", "engine/test_engine.py"))
    )


@pytest.mark.parametrize("others", [[], MANY], ids=["alone", "with-many-rooms"])
@pytest.mark.parametrize(
    ("helper", "test", "other"),
    [
        ("tests/e2e/conftest.py", "e2e/test_hold.py", "lab/test_clocks.py"),
        ("tests/systems/postgres/site.py", "systems/postgres/test_dump.py", "systems/test_other_user.py"),
        ("tests/systems/ground.py", "systems/test_other_user.py", "systems/postgres/test_dump.py"),
        ("tests/plugins/ledger/drillbook_ledger/drills/a.yml", "plugins/test_ledger.py", "sdk/test_contract.py"),
    ],
)
def test_a_changed_helper_holds_the_tests_of_its_room(helper, test, other, others):
    holds = held(helper, *others)
    assert holds(test)
    assert not holds(other)


@pytest.mark.parametrize("helper", ["tests/program.py", "tests/conftest.py", "tests/machine/world.py"])
def test_a_helper_of_all_tests_holds_none_of_them(helper):
    assert not any(map(held(helper), ("ground/test_values.py", "e2e/test_hold.py", "machine_room/test_a.py")))


def test_a_changed_test_holds_no_other_test_of_its_room():
    assert not held("tests/e2e/test_hold.py")("e2e/test_adversity.py")


@pytest.mark.parametrize(("room", "known"), [("engine", True), ("hosts", False)])
def test_a_room_is_touched_by_any_of_its_files(room, known):
    assert Change([PurePosixPath(MODULE)]).touches("journal", room) is known
