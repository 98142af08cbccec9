"""files.digest, on this machine."""

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
