"""The service kind `folder`."""

import pytest
from pydantic import ValidationError

from drillbook.systems.files.service import Folder


def test_a_folder_is_reserved_by_its_path():
    assert Folder(name="site", host="app-1", path="/var/www/").lock_name == "folder-var-www"
    assert Folder(name="site", host="app-1", path="/var/www").lock_name == "folder-var-www"


def test_a_copy_in_a_sandbox_has_its_files_in_a_folder_of_their_own():
    fields = Folder.fields_in_sandbox("/var/tmp/sandbox-site")
    assert Folder(name="copy", host="app-1", **fields).data == "/var/tmp/sandbox-site/data"


@pytest.mark.parametrize("path", ["", "var/www"])
def test_a_folder_needs_a_whole_path(path):
    with pytest.raises(ValidationError):
        Folder(name="site", host="app-1", path=path)
