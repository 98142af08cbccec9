"""One store for all tests of this folder, and files with everything that an undo restores."""

import os

import pytest

from tests.systems.files.archived import CONTENT, NUMBERS, archived, planted
from tests.systems.postgres import site


@pytest.fixture(scope="package")
def place(tmp_path_factory):
    with site.site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture
def tree(place):
    """A folder with one file of each type."""
    return planted(place.folder / f"tree-{next(NUMBERS)}" / "data")


@pytest.fixture(scope="package")
def original(place):
    """A tree that no test changes, and the facts of its archive."""
    root = planted(place.folder / "original" / "data")
    return root, archived(place, root)


@pytest.fixture
def file(ground):
    """A file with a set time and permissions, and an attribute if the file system has one."""
    (ground.root / "etc").mkdir()
    path = ground.root / "etc" / "it's a file"
    path.write_bytes(CONTENT)
    path.chmod(0o640)
    try:
        os.setxattr(path, "user.note", b"kept")
    except OSError:
        pass
    os.utime(path, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    return path
