"""The result file of a run: read once, and again only after it was replaced."""

import os

import pytest

from drillbook.atomic_file import replace_file
from drillbook.journal.result_file import ResultFile
from drillbook.journal.run_files import RESULT


def test_every_reader_gets_the_bytes_that_were_read_first(tmp_path):
    (tmp_path / RESULT).write_text('{"verdict": "passed"}')
    result = ResultFile(tmp_path)
    assert result.current() is result
    (tmp_path / RESULT).write_text('{"verdict": "failed!"}')
    assert (result.data, result.parsed()) == (b'{"verdict": "passed"}', {"verdict": "passed"})
    assert result.current().as_object() == {"verdict": "failed!"}


def test_a_replaced_file_of_the_same_size_and_time_is_another_file(tmp_path):
    path = tmp_path / RESULT
    path.write_text('{"exit": 0}')
    at = path.stat().st_mtime_ns
    result = ResultFile(tmp_path)
    assert result.parsed() == {"exit": 0}
    replace_file(path, b'{"exit": 1}')
    os.utime(path, ns=(at, at))
    assert result.current().parsed() == {"exit": 1}


def test_a_missing_file_is_one_until_it_is_written(tmp_path):
    result = ResultFile(tmp_path)
    assert (result.as_object(), result.current() is result) == ({}, True)
    (tmp_path / RESULT).write_text("[1]")
    with pytest.raises(FileNotFoundError):
        _ = result.data
    assert (result.as_object(), result.current().parsed(), result.current().as_object()) == ({}, [1], {})


def test_a_damaged_file_has_no_object(tmp_path):
    (tmp_path / RESULT).write_text("{")
    assert ResultFile(tmp_path).as_object() == {}
    with pytest.raises(ValueError, match="Expecting"):
        ResultFile(tmp_path).parsed()
