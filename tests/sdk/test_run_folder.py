"""Folder of a run, which is hidden until its journal has an event."""

import pytest

from drillbook.sdk.run_folder import RunFolder, sync_path


def test_a_folder_is_shown_with_its_content(tmp_path):
    made = RunFolder.make(tmp_path / "run")
    assert made.inside == tmp_path / ".run"
    assert made.inside.stat().st_mode & 0o777 == 0o700
    (made.inside / "journal.jsonl").write_text("{}\n")
    assert not (tmp_path / "run").exists()
    made.show()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "journal.jsonl").exists()


def test_the_folder_of_a_suite_is_hidden_with_its_first_run(tmp_path):
    first = RunFolder.make(tmp_path / "suite" / "first")
    assert first.inside == tmp_path / ".suite" / "first"
    first.show()
    second = RunFolder.make(tmp_path / "suite" / "second")
    assert second.inside == tmp_path / "suite" / ".second"
    second.show()
    assert sorted(path.name for path in (tmp_path / "suite").iterdir()) == ["first", "second"]


@pytest.mark.parametrize("path", ["run", "suite/run"])
def test_a_run_that_never_began_leaves_nothing(tmp_path, path):
    made = RunFolder.make(tmp_path / path)
    (made.inside / "journal.jsonl").touch()
    made.drop("journal.jsonl", "absent")
    assert list(tmp_path.iterdir()) == []
    RunFolder.make(tmp_path / path)


def test_a_folder_with_another_file_is_not_removed(tmp_path):
    made = RunFolder.make(tmp_path / "run")
    (made.inside / "evidence").touch()
    made.drop("journal.jsonl")
    assert (made.inside / "evidence").exists()


def test_two_runs_of_one_name_do_not_share_a_folder(tmp_path):
    RunFolder.make(tmp_path / "run")
    with pytest.raises(FileExistsError):
        RunFolder.make(tmp_path / "run")


def test_whatever_is_not_there_cannot_be_flushed(tmp_path):
    sync_path(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_path(tmp_path / "absent")
