"""Age of the index of all runs, compared with the ends of the runs."""

import os

from drillbook.report import index_age


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
