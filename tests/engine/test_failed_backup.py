"""The reason of a run whose phase `backup` failed: a rehearsal has no fault, so its reason names none."""

import pytest

from drillbook.sdk.object_reference import Reference
from tests.program import Folder, fault, step


@pytest.mark.parametrize(
    ("inject", "reason"),
    [
        ("", "no backup was restored, because the phase backup failed"),
        (fault(["true"], ["true"]), "no fault was injected, because the backup failed"),
    ],
)
def test_a_failed_backup_is_told_in_the_words_of_the_drill(tmp_path, inject, reason):
    folder = Folder(tmp_path)
    folder.write(f"objectives: {{}}\nbackup:\n{step(['false'])}{inject}restore:\n{step(['true'])}")
    assert folder.run("drill", "sample").returncode == 1
    assert f"{chr(34)}{reason}{chr(34)}" in (folder.latest / "journal.jsonl").read_text()


def test_a_source_of_backups_is_no_reference_to_a_bucket():
    with pytest.raises(ValueError, match=r"'nightly' is not a reference.*in a bucket.*restored by `backup.restore`"):
        Reference.parse("nightly")
