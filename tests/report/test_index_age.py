"""Age of the index of all runs, compared with the ends of the runs."""

import os
import time

from drillbook.journal.journal import Journal
from drillbook.redact import Redactor
from drillbook.report import index, index_age
from tests.contents import content


def write(path, at, text="{}"):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))


def test_an_index_is_outdated_once_a_later_run_has_ended(tmp_path):
    write(tmp_path / "a" / "result.json", 1000)
    assert index_age.outdated(tmp_path), "there is no index yet"
    write(tmp_path / index_age.PAGE, 1000)
    assert not index_age.outdated(tmp_path)
    write(tmp_path / "b" / "result.json", 1001)
    assert index_age.outdated(tmp_path)


def test_a_run_without_a_result_counts_by_its_newest_journal(tmp_path):
    write(tmp_path / index_age.PAGE, 1000)
    write(tmp_path / "suite" / "journal.jsonl", 900, "")
    assert not index_age.outdated(tmp_path)
    write(tmp_path / "suite" / "drill" / "journal.jsonl", 1100, "")
    assert index_age.changed(tmp_path, "suite") == 1100 * 10**9
    assert index_age.outdated(tmp_path), "its controller was killed before it wrote the index"


def test_hidden_folders_and_links_are_no_runs(tmp_path):
    write(tmp_path / index_age.PAGE, 1000)
    write(tmp_path / ".drafts" / "result.json", 2000)
    write(tmp_path / "a" / "result.json", 500)
    (tmp_path / "latest").symlink_to("a")
    (tmp_path / "note.txt").write_text("x")
    assert index_age.names(tmp_path) == ["a"]
    assert not index_age.outdated(tmp_path)
    assert index_age.changed(tmp_path, "nothing") == 0


def test_an_index_is_outdated_until_it_names_the_runs_in_progress_and_again_after_their_death(tmp_path):
    folder = tmp_path / "20261201T111040.983Z-a suite-96e2" / "20261201T111041.983Z-sample-96e3"
    folder.mkdir(parents=True)
    controller = Journal(folder, Redactor([]), origin=time.monotonic())
    try:
        controller.append(content("note", {"message": "begun"}))
        page = tmp_path / index_age.PAGE
        write(page, 4_000_000_000)
        assert index_age.outdated(tmp_path), "the page does not name the run"
        going = index_age.in_progress(tmp_path)
        assert going == ["20261201T111040.983Z-a%20suite-96e2/20261201T111041.983Z-sample-96e3"]
        write(page, 4_000_000_000, index.render([], going=going))
        assert not index_age.outdated(tmp_path)
    finally:
        controller.close()
    assert index_age.in_progress(tmp_path) == []
    assert index_age.outdated(tmp_path), "the page is newer than the journal, but calls the run in progress"
