"""files.remove, on this machine."""

import pytest

from drillbook.judge.result import Verdict
from tests.engine.test_runner import Bench


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def on_controller(phase, action, params):
    return f"{phase}:\n  - {action}: {params}\n    hosts: controller\n"


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
