"""Archives of files: everything comes back, each difference is named, and the tar must be able to do it."""

import os
import shutil
import subprocess

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.action import find
from drillbook.systems.files import archives as knowledge
from tests.sameness import holds
from tests.systems.files.archived import NUMBERS, ROOT, archived, codes, context, run


def test_everything_comes_back_as_it_was(place, tree):
    facts = archived(place, tree)
    assert facts["entries"] == 11
    assert facts["packed"] < 100_000, "holes are not stored"
    proof = run(place, "files.backup_intact", **{"from": facts["location"]})
    assert proof["entries"] == 11
    ctx = context(place)
    lose = find("files.lose").model_validate({"service": "app", "path": str(tree), "from": facts["location"]})
    lose.ready(ctx)
    assert holds(proof, lose, ctx) is True
    assert holds(proof, lose.model_copy(update={"path": f"{tree}/plain"}), ctx) is False, "other files of the same service"
    assert (
        holds({"identity": proof["identity"] | {"of": proof["identity"]["of"] | {"machine": "another"}}}, lose, ctx) is False
    )
    assert lose.undo(ctx).kind == "restore"
    assert lose.active(ctx) is False
    lose.run(ctx)
    assert lose.active(ctx) is True
    assert not tree.exists()
    assert run(place, "files.extract", **{"from": facts["location"]})["path"] == str(tree)
    assert lose.active(ctx) is False
    assert run(place, "files.matches", manifest=facts["manifest"])["entries"] == 11
    assert (tree / "sparse").stat().st_blocks * 512 < 1 << 20
    assert (tree / "plain").stat().st_ino == (tree / "sub" / "second").stat().st_ino
    assert (tree / "plain").stat().st_mode & 0o7777 == 0o4750
    assert os.getxattr(tree / "plain", "user.origin") == b"\0\xffvalue"
    assert [one.name for one in tree.parent.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda root: (root / "plain").write_bytes(b"plaiN\n" * 1000), "file-content"),
        (lambda root: shutil.rmtree(root / "sub"), "file-missing"),
        (lambda root: (root / "sub").chmod(0o777), "file-mode"),
        pytest.param(
            lambda root: os.lchown(root / "link", 7, 7),
            "file-owner",
            marks=pytest.mark.skipif(not ROOT, reason="only root gives files away"),
        ),
        (lambda root: [(root / "link").unlink(), (root / "link").symlink_to("sparse")], "file-link"),
        (
            lambda root: [(root / "sub" / "second").unlink(), shutil.copy2(root / "plain", root / "sub" / "second")],
            "file-link",
        ),
        (lambda root: os.removexattr(root / "plain", "user.origin"), "file-xattr"),
        (lambda root: os.utime(root / "plain", (1, 1)), "file-time"),
        (lambda root: (root / "stray").write_text("x"), "file-unexpected"),
        (lambda root: [(root / "pipe").unlink(), (root / "pipe").mkdir()], "file-mode"),
    ],
)
def test_each_difference_has_its_code_and_names_the_path(place, original, change, code):
    root, facts = original
    tree = place.folder / f"tree-{next(NUMBERS)}"
    subprocess.run(["cp", "-a", str(root), str(tree)], check=True)
    change(tree)
    with pytest.raises(StepFailed) as failure:
        run(place, "files.matches", path=str(tree), manifest=facts["manifest"])
    found = [one for one in failure.value.findings if one.code == code]
    assert found, codes(failure)
    assert all(str(tree) in one.title for one in found)


def test_what_the_archive_does_not_hold_is_never_deleted(place, tree):
    facts = archived(place, tree)
    (tree / "sub" / "since").write_text("written after the archive")
    with pytest.raises(StepFailed, match="differs from the archive"):
        run(place, "files.lose", path=str(tree), **{"from": facts["location"]})
    assert (tree / "sub" / "since").exists()
    assert run(place, "files.matches", manifest=facts["manifest"], unexpected="allow")["unexpected"] == 1


@pytest.mark.parametrize(("program", "said"), [("echo busybox", "other than GNU tar"), ("exit 127", "other than GNU tar")])
def test_a_tar_that_is_not_gnu_is_told(place, tree, monkeypatch, program, said):
    (tree.parent / "tar").write_text(f"#!/bin/sh\n{program}\n")
    (tree.parent / "tar").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tree.parent}:{os.environ['PATH']}")
    with pytest.raises(NotReady, match=said):
        knowledge.need_tar(context(place))
