"""CI besides pytest: the second attempt, which lists flaky tests and fails on three, and the lowest versions."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

CI = Path(__file__).parents[2] / ".ci"
TESTS = """
import pathlib, pytest

@pytest.mark.parametrize("number", range({flaky}))
def test_flaky(number):
    seen = pathlib.Path(f"seen-{{number}}")
    first = not seen.exists()
    seen.touch()
    assert not first

@pytest.mark.parametrize("number", range({broken}))
def test_broken(number):
    assert False

def test_well():
    pass
"""


@pytest.mark.parametrize(("flaky", "broken", "status"), [(0, 0, 0), (2, 0, 0), (3, 0, 1), (1, 1, 1)])
def test_a_test_that_passes_alone_is_named_and_three_of_them_fail(tmp_path, flaky, broken, status):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(TESTS.format(flaky=flaky, broken=broken))
    first = run(tmp_path, "-m", "pytest", "-q")
    assert first.returncode == (1 if flaky + broken else 0), first.stdout
    second = run(tmp_path, str(CI / "flaky.py"))
    assert second.returncode == status, second.stdout + second.stderr
    named = [line for line in second.stdout.splitlines() if line.startswith("FLAKY ")]
    assert named == [f"FLAKY test_it.py::test_flaky[{number}]" for number in range(flaky)]
    if named:
        assert second.stdout.splitlines()[-len(named) :] == named, "they are the last lines"
    assert "test_well" not in second.stdout


def run(folder, *argv):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "DRILLBOOK_"))}
    # Loading all plugins that are installed takes longer than these tests.
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}
    return subprocess.run([sys.executable, *argv], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_lowest_versions_are_those_of_the_project(tmp_path):
    done = run(tmp_path, str(CI / "lowest.py"))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    project = (CI.parent / "pyproject.toml").read_text()
    assert len(lines) > 30
    assert "psycopg==3.2.3" in lines
    for line in lines:
        name, _, version = line.partition("==")
        assert f'"{name}>={version}"' in project or f'"{name}[binary]>={version}"' in project


@pytest.fixture
def floor():
    spec = importlib.util.spec_from_file_location("floor", CI / "floor.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def covered(floor, **missing):
    """Coverage of one module of ten lines per package, with a number of uncovered lines."""
    lines = {package: missing.get(package, 0) for package in floor.PURE}
    return {
        f"src/drillbook/{'some.py' if package == floor.GROUND else f'{package}/some.py'}": {
            "missing_lines": list(range(left)),
            "summary": {"num_statements": 10, "covered_lines": 10 - left, "missing_lines": left},
        }
        for package, left in lines.items()
    }


def test_each_package_has_to_reach_the_floor_by_itself(floor, capsys):
    assert floor.told(covered(floor, judge=1)) == 0
    assert floor.told(covered(floor, judge=2)) == 1
    printed = capsys.readouterr().out
    assert "judge         80.0 %  below 90 %" in printed
    assert "src/drillbook/judge/some.py: 2 lines, [0, 1]" in printed


@pytest.mark.parametrize(
    ("path", "measured"),
    [
        ("src/drillbook/judge/rto.py", True),
        ("tests/judge/test_rto.py", True),
        ("src/drillbook/engine/locks_and_leases.py", False),
        ("src/drillbook/redact.py", True),
    ],
)
def test_ci_measures_what_was_changed_and_leaves_the_rest_to_the_night(floor, monkeypatch, capsys, path, measured):
    monkeypatch.setattr(floor.changed, "change", lambda: floor.changed.Change([PurePosixPath(path)]))
    monkeypatch.setattr(floor, "measure", lambda report: 7)
    monkeypatch.setattr(floor.tiers, "CI", True)
    monkeypatch.setattr(floor.tiers, "ALL", False)
    assert floor.main() == (7 if measured else 0)
    assert ("left to the night" in capsys.readouterr().out) is not measured
    monkeypatch.setattr(floor.tiers, "ALL", True)
    assert floor.main() == 7
    monkeypatch.setattr(floor.tiers, "CI", False)
    monkeypatch.setattr(floor.tiers, "ALL", False)
    assert floor.main() == 7, "asked for by hand"


def test_ci_measures_the_changed_packages_alone_and_not_more_than_three(floor, monkeypatch):
    monkeypatch.setattr(floor.tiers, "CI", True)
    monkeypatch.setattr(floor.tiers, "ALL", False)
    paths = [PurePosixPath("src/drillbook/judge/rto.py"), PurePosixPath("tests/plan/test_spec.py")]
    monkeypatch.setattr(floor.changed, "change", lambda: floor.changed.Change(paths))
    assert floor.wanted() == ["plan", "judge"]
    assert {path.parent.name for path in floor.files(floor.wanted())} == {"plan", "judge"}
    assert floor.measured(floor.wanted()) == ["drillbook.plan", "drillbook.judge"]
    assert [*floor.shares(covered(floor), ["judge"])] == ["judge"]
    paths += [PurePosixPath(f"src/drillbook/{package}/x.py") for package in floor.PURE if package != floor.GROUND]
    taken = set()
    for number in range(len(floor.PURE)):
        monkeypatch.setattr(floor.tiers, "number", lambda number=number: number)
        assert len(floor.wanted()) == floor.MOST
        taken |= {*floor.wanted()}
    assert taken == {*floor.PURE} - {floor.GROUND}


def test_every_package_is_measured_or_has_its_reason(floor):
    source = CI.parent / "src" / "drillbook"
    packages = {path.parent.name for path in source.glob("*/__init__.py")}
    assert {*floor.PURE, *floor.NOT_MEASURED} - {floor.GROUND} == packages
    assert not {*floor.PURE} & {*floor.NOT_MEASURED}
    assert all(len(reason.split()) >= 2 for reason in (*floor.NOT_MEASURED.values(), *floor.LEFT_OUT.values()))
    assert {"drillbook.audit", "drillbook.redact"} <= {*floor.measured()}
    assert "drillbook.atomic_file" not in floor.measured()


def test_a_package_that_was_not_measured_is_no_success(floor):
    files = covered(floor)
    del files["src/drillbook/plan/some.py"]
    with pytest.raises(SystemExit, match="no module of plan was measured"):
        floor.told(files)


def test_what_the_floor_leaves_out_and_measures_by_is_there(floor):
    package = CI.parent / "src" / "drillbook"
    assert all((package / name).is_file() for name in floor.LEFT_OUT)
    assert [path for path in floor.files() if not path.is_file()] == []
    assert {path.parent.name for path in floor.files()} == {*floor.PURE, "corpus"}, (
        "the corpus of mistakes is of the language"
    )
