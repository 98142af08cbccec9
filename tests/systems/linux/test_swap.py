"""Scripts that replace a file, and later restore the original."""

import subprocess

import pytest

from drillbook.systems.linux import swap


def run(script, *arguments, stdin=b""):
    return subprocess.run(["sh", "-c", script, "sh", *map(str, arguments)], input=stdin, capture_output=True, check=False)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "app.env"
    path.write_text("old\n")
    path.chmod(0o640)
    return path


def replaced(file, text=b"new\n"):
    kept = file.parent / ".kept"
    done = run(swap.REPLACE, file, kept, stdin=text)
    return kept, done


def test_a_file_is_replaced_with_its_permissions_and_comes_back_as_the_same_file(file):
    before = file.stat()
    kept, done = replaced(file)
    assert done.returncode == 0, done.stderr
    assert (file.read_text(), file.stat().st_mode, len(done.stdout.split())) == ("new\n", before.st_mode, 2)
    assert file.stat().st_ino != before.st_ino
    assert run(swap.STILL, file, kept).returncode == 0
    for _ in range(2):
        assert run(swap.PUT_BACK, file, kept).returncode == 0
        assert (file.read_text(), file.stat().st_ino) == ("old\n", before.st_ino)
        assert run(swap.STILL, file, kept).returncode != 0
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_somebody_wrote_meanwhile_stays(file):
    kept, _ = replaced(file)
    (file.parent / "theirs").write_text("theirs\n")
    (file.parent / "theirs").rename(file)
    assert run(swap.PUT_BACK, file, kept).returncode == 0
    assert (file.read_text(), kept.exists()) == ("theirs\n", False)


def test_a_file_that_somebody_removed_meanwhile_comes_back(file):
    kept, _ = replaced(file)
    file.unlink()
    assert run(swap.RETURN, file, kept).returncode == 0
    assert (file.read_text(), (kept / "back").exists()) == ("old\n", True)
    assert run(swap.DROP, kept).returncode == 0
    assert not kept.exists()


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda file: file.unlink(), 3),
        (lambda file: (file.rename(file.with_name("real")), file.symlink_to("real")), 3),
        (lambda file: (file.parent / ".kept").mkdir(), 4),
        (lambda file: file.write_text("new\n"), 6),
    ],
    ids=["none", "link", "twice", "same"],
)
def test_a_file_that_cannot_be_replaced_stays_as_it_is(file, spoil, status):
    spoil(file)
    before = file.read_text() if file.exists() else None
    _, done = replaced(file)
    assert (done.returncode, status in swap.REFUSED) == (status, True)
    assert (file.read_text() if file.exists() else None) == before
