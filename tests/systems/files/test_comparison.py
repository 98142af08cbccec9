"""Restored files compared with those of the service, and with recorded digests: every difference is found, and later
changes do not count.
"""

import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from tests.needs import missing, need
from tests.systems.estate import Estate, codes


class Site:
    """Folder of a service, and its copy, which tar restores into a sandbox."""

    def __init__(self, root):
        self.www, self.copies = root / "www", root / "copies"
        (self.www / "uploads").mkdir(parents=True)
        self.copies.mkdir()
        (self.www / "page").write_text("hello\n")
        (self.www / "uploads" / "picture").write_bytes(os.urandom(100_000))
        (self.www / "link").symlink_to("page")
        (self.www / "page").chmod(0o640)
        os.setxattr(self.www / "page", "user.origin", b"here")
        self.place = Estate(
            root,
            services={"copy": {"kind": "folder", "sandbox": {}}, "site": {"kind": "folder", "path": str(self.www)}},
            backups={"files": {"kind": "tar", "at": str(self.copies)}},
        )
        self.aged = datetime.now(UTC) + timedelta(seconds=2)

    def restore(self, change=lambda www: None):
        """Back the folder up after ``change``, restore the backup, and reset the folder."""
        saved = self.www.parent / "saved"
        subprocess.run(["cp", "-a", "--", self.www, saved], check=True)
        change(saved)
        words = ["tar", "--xattrs", "-cf", self.copies / "www.tar", "-C", saved, "."]
        subprocess.run(words, check=True)
        self.place.restore("files", "copy")
        return self.place.folder("copy") / "data"

    def compare(self, **fields):
        given = {"service": "copy", "original": "site", "taken_at": self.aged.isoformat(), "ignore": ["xattr"], **fields}
        return self.place.run("files.compare", **given)


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.place.remove("files", "copy")


def test_equal_folders_have_no_finding(site):
    site.restore()
    facts = site.compare()
    assert facts["compared"] == 2
    assert facts["bytes"] == 100_006
    assert facts["changed_since"] == facts["removed_since"] == 0
    assert facts["ignored"] == ["xattr"]


def rewritten(path, data):
    """Other content with the same size and modification time."""
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


DIFFERENCES = {
    "file missing": ("file-missing", lambda www: (www / "uploads" / "picture").unlink()),
    "folder missing": ("file-missing", lambda www: shutil.rmtree(www / "uploads")),
    "byte changed": ("file-content", lambda www: rewritten(www / "page", b"hellO\n")),
    "file emptied": ("file-content", lambda www: rewritten(www / "page", b"")),
    "permissions lost": ("file-mode", lambda www: (www / "page").chmod(0o644)),
    "link changed": ("file-link", lambda www: ((www / "link").unlink(), (www / "link").symlink_to("uploads"))),
    "time lost": ("file-time", lambda www: os.utime(www / "page", (1, 1))),
    "file of somebody else": ("file-unexpected", lambda www: (www / "shell.php").write_text("?")),
    "link became a file": ("file-mode", lambda www: ((www / "link").unlink(), (www / "link").write_text("hello\n"))),
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_a_difference_is_seen(site, what):
    code, change = DIFFERENCES[what]
    site.restore(change)
    with pytest.raises(StepFailed) as failure:
        site.compare()
    assert set(codes(failure)) == {code}


def test_another_owner_is_seen_unless_owners_are_ignored(site):
    if os.geteuid() != 0:
        missing("needs root, to give a file to another user")
    site.restore(lambda www: os.chown(www / "page", 1234, 4321))
    with pytest.raises(StepFailed) as failure:
        site.compare()
    assert codes(failure) == ["file-owner"]
    assert site.compare(ignore=["owner", "xattr"])["compared"] == 2


def test_lost_attributes_are_seen(site):
    site.restore()
    with pytest.raises(StepFailed) as failure:
        site.compare(ignore=[])
    assert codes(failure) == ["file-xattr"]


def test_what_changed_since_the_backup_is_counted_and_not_compared(site):
    site.restore()
    taken_at = datetime.now(UTC) + timedelta(seconds=2)
    while datetime.now(UTC) < taken_at:  # the clock itself is what is waited for
        time.sleep(0.05)
    (site.www / "page").write_text("changed\n")
    (site.www / "uploads" / "new").write_text("added")
    (site.www / "link").unlink()
    facts = site.compare(taken_at=taken_at.isoformat())
    assert facts["compared"] == 1
    assert facts["changed_since"] == 4  # the page, the new file, and both folders
    assert facts["removed_since"] == 1


def test_a_file_that_vanished_from_an_unchanged_folder_of_the_copy_is_no_later_change(site):
    site.restore(lambda www: (www / "uploads" / "picture").unlink())
    taken_at = datetime.now(UTC) + timedelta(seconds=2)
    while datetime.now(UTC) < taken_at:
        time.sleep(0.05)
    (site.www / "page").write_text("changed\n")
    with pytest.raises(StepFailed) as failure:
        site.compare(taken_at=taken_at.isoformat())
    assert codes(failure) == ["file-missing"]


def test_nothing_passes_when_every_file_changed_since(site):
    site.restore()
    with pytest.raises(CouldNotVerify, match="could be compared"):
        site.compare(taken_at="2020-01-01T00:00:00Z")


def test_excluded_paths_are_not_compared(site):
    site.restore(lambda www: shutil.rmtree(www / "uploads"))
    assert site.compare(exclude=["uploads", "uploads/*"])["compared"] == 1


def test_a_path_below_the_sandbox_is_compared_with_its_folder(site):
    data = site.restore()
    (data / "srv").mkdir()
    for path in list(data.iterdir()):
        if path.name != "srv":
            path.rename(data / "srv" / path.name)
    (data / "srv").chmod(site.www.stat().st_mode & 0o777)
    assert site.compare(below="srv")["compared"] == 2
    (data / "srv").chmod(0o700)
    (site.www).chmod(0o755)
    with pytest.raises(StepFailed) as failure:
        site.compare(below="srv", taken_at=(datetime.now(UTC) + timedelta(seconds=5)).isoformat())
    assert codes(failure) == ["file-mode"]
    with pytest.raises(StepFailed) as failure:
        site.compare(below="var/www")
    assert codes(failure) == ["file-missing"]


def listed(www):
    text = subprocess.run(
        ["sha256sum", "page", "uploads/picture"], cwd=www, capture_output=True, text=True, check=True
    ).stdout
    (www / "SHA256SUMS").write_text(text)


def test_recorded_digests_are_compared(site):
    need("sha256sum")
    data = site.restore(listed)
    assert site.place.run("files.recorded", service="copy", digests="SHA256SUMS")["compared"] == 2
    rewritten(data / "page", b"hellO\n")
    with pytest.raises(StepFailed) as failure:
        site.place.run("files.recorded", service="copy", digests="SHA256SUMS")
    assert codes(failure) == ["file-content"]
    (data / "uploads" / "picture").unlink()
    with pytest.raises(StepFailed) as failure:
        site.place.run("files.recorded", service="copy", digests="SHA256SUMS")
    assert sorted(codes(failure)) == ["file-content", "file-missing"]


@pytest.mark.parametrize("text", ["", "no list\n", "0123 page\n"])
def test_something_else_than_a_list_of_digests_is_not_verified(site, text):
    data = site.restore(lambda www: (www / "SHA256SUMS").write_text(text))
    assert Path(data / "SHA256SUMS").exists()
    with pytest.raises(CouldNotVerify, match="not in the format"):
        site.place.run("files.recorded", service="copy", digests="SHA256SUMS")


def test_a_list_that_is_not_there_is_missing(site):
    site.restore()
    with pytest.raises(StepFailed) as failure:
        site.place.run("files.recorded", service="copy", digests="SHA256SUMS")
    assert codes(failure) == ["file-missing"]
