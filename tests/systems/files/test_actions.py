"""files.*, on this machine."""

import hashlib

import pytest

from drillbook.judge.result import Verdict
from tests.engine.test_runner import Bench


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def on_controller(phase, action, params):
    return f"{phase}:\n  - {action}: {params}\n    hosts: controller\n"


def test_digest_of_a_file_and_of_a_folder(bench):
    (bench.root / "data").mkdir()
    (bench.root / "data" / "a b\\c").write_bytes(b"one")
    (bench.root / "data" / "d").write_bytes(b"two")
    wanted = hashlib.sha256(b"two").hexdigest()
    view = bench.run(on_controller("verify", "files.digest", f"{{path: DIR/data/d, sha256: {wanted}}}"))
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert view.result.steps[0].facts["sha256"] == wanted
    view = bench.run(on_controller("verify", "files.digest", "{path: DIR/data}"))
    assert view.result.steps[0].facts["files"] == 2


def test_another_content_fails_and_a_missing_file_is_refused_before_or_not_verified(bench):
    (bench.root / "d").write_bytes(b"other")
    view = bench.run(on_controller("verify", "files.digest", f"{{path: DIR/d, sha256: {'0' * 64}}}"))
    assert view.result.verdict is Verdict.FAILED
    assert [one.code for one in view.result.findings] == ["file-content"]
    view = bench.run(on_controller("verify", "files.digest", "{path: DIR/nothing}"))
    assert view.result.verdict is Verdict.REFUSED
    removed = on_controller("restore", "command.run", "{argv: [rm, DIR/d], effect: write, undo: ['true']}")
    view = bench.run(removed + on_controller("verify", "files.digest", "{path: DIR/d}"))
    assert view.result.verdict is Verdict.INCONCLUSIVE


def test_a_removed_folder_is_gone_during_the_drill_and_back_after_it(bench):
    (bench.root / "data").mkdir()
    (bench.root / "data" / "a").write_text("kept")
    gone = []

    def observe(event):
        if event.kind == "fault.active":
            gone.append(not (bench.root / "data").exists())

    view = bench.run(on_controller("inject", "files.remove", "{path: DIR/data/}"), observe)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert gone == [True]
    assert (bench.root / "data" / "a").read_text() == "kept"
    assert sorted(path.name for path in bench.root.iterdir()) == ["data", "drills", "hosts.yml", "reports", "scratch"]
    assert list((bench.root / "scratch").iterdir()) == []


def test_what_the_restore_made_again_stays_and_the_kept_copy_goes(bench):
    (bench.root / "data").write_text("old")
    text = (
        on_controller("inject", "files.remove", "{path: DIR/data}")
        + "restore:\n  - command.run: {argv: [cp, /etc/hostname, DIR/data], effect: read}\n    hosts: controller\n"
    )
    view = bench.run(text)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert (bench.root / "data").read_text() != "old"
    assert not list(bench.root.glob("data.drillbook-*"))


@pytest.mark.parametrize("path", ["/", "/etc", "/var/../etc", "/usr/./."])
def test_the_top_of_a_file_system_is_never_removed(bench, path):
    view = bench.run(on_controller("inject", "files.remove", f"{{path: {path}}}"))
    assert (view.result.verdict, view.result.residue) == (Verdict.REFUSED, ())
    assert [one.measured for one in view.result.findings if "is refused" in one.measured]


def test_what_is_not_there_cannot_be_removed(bench):
    view = bench.run(on_controller("inject", "files.remove", "{path: DIR/nothing}"))
    assert (view.result.verdict, view.result.residue) == (Verdict.REFUSED, ()), "and it is not taken for our own fault"
    assert "does not exist" in view.result.findings[0].measured
