"""Finding runs that may have residue, without reading again the runs that have none."""

import os

import pytest

from drillbook.journal.journal import FILE
from drillbook.project import settled_runs
from drillbook.project.project import Project

SETTLED, OPEN = '{"residue": []}', '{"residue": 1}'


@pytest.fixture
def project(tmp_path):
    (tmp_path / "reports").mkdir()
    return Project(tmp_path)


def run(project, number, result=SETTLED, suite="", journal="{}\n"):
    folder = project.reports / suite / f"20260302T120000.000Z-sample-{number:04x}"
    folder.mkdir(parents=True)
    if journal is not None:
        (folder / FILE).write_text(journal)
    if result:
        (folder / "result.json").write_text(result)
    return folder


def names(project):
    return [folder.name[-4:] for folder in project.open_runs()]


def replaced_unseen(path, text):
    """Replace the content of a file but not its size and timestamps, so that only reading it shows the change."""
    before = path.stat()
    with path.open("r+") as file:
        file.write(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_no_file_of_a_thousand_settled_runs_is_read_a_second_time(project):
    folders = [run(project, number) for number in range(1000)]
    run(project, 0xFFFF, result="")
    assert names(project) == ["ffff"]
    for folder in folders:
        replaced_unseen(folder / "result.json", OPEN.ljust(len(SETTLED)))
    assert names(project) == ["ffff"]
    (project.reports / settled_runs.FILE).unlink()
    assert len(names(project)) == 1001, "without the index, each is read"


def test_a_result_that_was_written_again_is_read_again(project):
    folder = run(project, 1)
    assert names(project) == []
    (folder / "result.json").unlink()
    assert names(project) == ["0001"]
    (folder / "result.json").write_text(OPEN)
    assert names(project) == ["0001"]
    (folder / "result.json").write_text(SETTLED)
    assert names(project) == []


@pytest.mark.parametrize("index", ["", "[]", "{", '{"20260302T120000.000Z-sample-0001": 1}', '{"x": [1, 2, 3]}'])
def test_a_damaged_index_hides_nothing(project, index):
    run(project, 1, result=OPEN)
    run(project, 2)
    (project.reports / settled_runs.FILE).write_text(index)
    assert names(project) == ["0001"]


def test_it_finds_what_the_lists_of_all_runs_and_of_lost_runs_hold(project):
    suite = "20260302T120000.000Z-quarterly-00aa"
    run(project, 1, result=OPEN)
    run(project, 2, result="", journal=None)
    run(project, 3, suite=suite)
    run(project, 4, result=OPEN, suite=suite)
    run(project, 5, result="", suite=suite, journal=None)
    run(project, 6, result="", journal="")
    (project.reports / ".draft").mkdir()
    (project.reports / "campaigns").mkdir()
    (project.reports / "latest").symlink_to(suite)
    every = {*project.runs(), *project.lost()} - {project.reports / suite / "20260302T120000.000Z-sample-0003"}
    assert set(project.open_runs()) == every
    assert names(project) == ["0001", "0002", "0004", "0005", "0006"]


def test_a_suite_is_known_once_all_its_runs_are_settled(project):
    suite = "20260302T120000.000Z-quarterly-00aa"
    inner = run(project, 1, result=OPEN, suite=suite)
    assert names(project) == ["0001"]
    (project.reports / suite / "result.json").write_text('{"suite": "quarterly"}')
    assert names(project) == ["0001"]
    (inner / "result.json").write_text(SETTLED)
    assert names(project) == []
    replaced_unseen(inner / "result.json", OPEN.ljust(len(SETTLED)))
    assert names(project) == []


def test_a_folder_that_cannot_be_written_costs_time_alone(project):
    run(project, 1, result=OPEN)
    run(project, 2)
    (project.reports / settled_runs.FILE).mkdir()
    assert names(project) == ["0001"]
