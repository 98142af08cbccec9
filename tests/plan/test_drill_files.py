"""Names of drills and their files."""

import pytest

from drillbook.errors import SpecError
from drillbook.plan import drill_files


def test_two_drills_of_one_name_are_an_error_and_folders_of_other_things_are_left_out(tmp_path):
    for folder in ("", "handbook", "diagnosis"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{folder or 'sample'}.yml").write_text("")
    assert sorted(drill_files.names_in(tmp_path)) == ["handbook", "sample"]
    (tmp_path / "handbook" / "sample.yml").write_text("")
    with pytest.raises(SpecError, match=r"two drills are named 'sample': .*handbook/sample.yml and .*sample.yml"):
        drill_files.names_in(tmp_path)
