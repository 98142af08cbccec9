"""Contacts are notified through a real HTTP server; a failed notification never stops the run."""

import threading

import pytest

from drillbook.attestation import run_verification
from drillbook.cli import recover
from drillbook.inventory import inventory
from drillbook.journal.journal import FILE, read
from drillbook.journal.run_state import RunStates
from drillbook.judge.result import Verdict
from drillbook.notify import messenger
from drillbook.project.project import Project
from tests.engine.test_runner import FAULT, HOSTS, Bench, step
from tests.needs import need
from tests.notify.listener import closed_port, hanging, listening

TOKEN = "t0ken-that-nobody-sees"


class Told(Bench):
    """Bench whose contact ``oncall`` is notified at the URLs ``ways``."""

    def __init__(self, root, monkeypatch, ways, on=""):
        super().__init__(root)
        names = []
        for number, url in enumerate(ways):
            monkeypatch.setenv(f"WAY_{number}", url)
            names.append(f"!env WAY_{number}")
        contact = f"contacts:\n  oncall: {{role: DBA, notify: [{', '.join(names)}]{on}}}\n"
        (root / "hosts.yml").write_text(HOSTS.replace("SCRATCH", str(root / "scratch")) + contact)
        self.inventory = inventory.load(root / "hosts.yml")

    def kept(self):
        """All events of the run."""
        return b"".join(path.read_bytes() for path in self.folder.rglob("*") if path.is_file())


def url(port):
    return f"json://user:{TOKEN}@127.0.0.1:{port}/{TOKEN}"


def not_told(view):
    return [one for one in view.result.findings if one.code == "contact-not-told"]


def test_start_and_end_are_told_with_verdict_and_report(tmp_path, monkeypatch, capfd):
    with listening() as server:
        bench = Told(tmp_path, monkeypatch, [url(server.server_port)])
        view = bench.run(FAULT % "[rm, -f, DIR/broken]")
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    by_title = {one["title"]: one["message"] for one in server.got}
    assert set(by_title) == {"[lab] drill sample: started", "[lab] drill sample: passed"}
    assert "command.run on controller" in by_title["[lab] drill sample: started"]
    assert str(bench.folder / "report.html") in by_title["[lab] drill sample: passed"]
    assert [event.data["occasion"] for event in bench.events("contact.told")] == ["start", "end"]
    assert not not_told(view)
    out, err = capfd.readouterr()
    assert TOKEN not in out + err
    assert TOKEN.encode() not in bench.kept()


def test_residue_is_told_with_what_to_do(tmp_path, monkeypatch):
    with listening() as server:
        bench = Told(tmp_path, monkeypatch, [url(server.server_port)], ", on: [residue]")
        view = bench.run(FAULT % "['false']")
        assert view.result.exit == 5
        (told,) = server.wait(1)
    assert "could not be undone" in told["title"]
    assert "false" in told["message"]
    assert f"drillbook drill.recover {view.result.run}" in told["message"]


def test_an_abort_is_told_while_the_fault_is_still_being_put_back(tmp_path, monkeypatch):
    """The undo waits for the message. If the message waited for the undo, too, neither would end."""
    with listening() as server:
        bench = Told(tmp_path, monkeypatch, [url(server.server_port)], ", on: [abort]")

        def observe(event):
            if event.kind == "fault.active":
                (bench.folder_now() / "stop").write_text("enough")
            if event.kind == "undo":
                server.wait(1)

        bench.folder_now = lambda: max((tmp_path / "reports").glob("*-sample-*"))
        look = FAULT % "[rm, -f, DIR/broken]" + "restore:\n" + step(["sleep", "60"])
        view = bench.run(look, observe)
    assert view.result.verdict is Verdict.ABORTED
    assert not (tmp_path / "broken").exists()
    assert "enough" in server.got[0]["message"]


@pytest.mark.parametrize(
    ("status", "why"), [(404, "the service answered with status 404"), (None, "the service cannot be reached")]
)
def test_a_service_that_does_not_take_it_is_a_low_finding(tmp_path, monkeypatch, capfd, status, why):
    with listening(status or 200) as server:
        bench = Told(tmp_path, monkeypatch, [url(server.server_port if status else closed_port())], ", on: [end]")
        view = bench.run(FAULT % "[rm, -f, DIR/broken]")
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    (one,) = not_told(view)
    assert one.severity == "low"
    assert one.measured == f"oncall could not be notified of the end by service 1, json: {why}"
    assert TOKEN not in "".join(capfd.readouterr())
    assert TOKEN.encode() not in bench.kept()


def test_one_that_hangs_holds_up_nothing_and_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr(messenger, "DEADLINE_S", 0.5)
    with hanging() as port:
        bench = Told(tmp_path, monkeypatch, [url(port)], ", on: [start]")
        view = bench.run(FAULT % "[rm, -f, DIR/broken]")
        assert view.result.verdict is Verdict.PASSED, view.result.reason
        (one,) = not_told(view)
        assert one.measured.endswith("no answer within 0.5 s")
        assert not (tmp_path / "broken").exists()
        kinds = [event.kind for event in read(bench.folder / FILE).events]
    assert kinds.index("contact.missed") > kinds.index("run.finished"), "the run did not wait for it"


@pytest.mark.parametrize(
    ("value", "why"),
    [(None, "the environment variable WAY_0 is not set"), ("no address " + TOKEN, "not a service URL of apprise")],
)
def test_a_secret_that_is_missing_or_no_address_stops_nothing(tmp_path, monkeypatch, capfd, value, why):
    bench = Told(tmp_path, monkeypatch, [value or ""], ", on: [start]")
    if value is None:
        monkeypatch.delenv("WAY_0")
    view = bench.run(FAULT % "[rm, -f, DIR/broken]")
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert why in not_told(view)[0].measured
    assert TOKEN not in "".join(capfd.readouterr())
    assert TOKEN.encode() not in bench.kept()


def test_a_recovery_tells_that_all_is_back(tmp_path, monkeypatch, capfd):
    with listening() as server:
        bench = Told(tmp_path, monkeypatch, [url(server.server_port)], ", on: [end]")
        view = bench.run(FAULT % "[sh, -c, 'test -e DIR/mended && rm -f DIR/broken']")
        assert view.result.exit == 5
        (tmp_path / "mended").touch()
        assert recover.recover(Project(tmp_path), view.result.run) == 0
        assert server.wait(2)[1]["title"] == "[lab] drill sample: recovered; all changes are undone"
    out, err = capfd.readouterr()
    assert "oncall was notified of the end by service 1, json" in out
    assert TOKEN not in out + err


def test_what_stands_behind_the_end_of_a_run_is_signed_and_verified_with_it(tmp_path, monkeypatch):
    need("ssh-keygen")
    with listening() as server:
        bench = Told(tmp_path, monkeypatch, [url(server.server_port)])
        bench.run("")
    assert read(bench.folder / FILE).events[-1].kind == "contact.told"
    found = run_verification.verify(bench.folder, bench.root, RunStates())
    assert run_verification.EXIT[found.mark] == 0, found.checks


def test_a_service_url_that_a_command_prints_is_hidden(tmp_path, monkeypatch):
    with listening() as server:
        bench = Told(tmp_path, monkeypatch, [url(server.server_port)], ", on: [end]")
        view = bench.run("restore:\n" + step(["printenv", "WAY_0"]))
    assert view.result.steps[0].facts["stdout"].strip() == "***"
    assert TOKEN.encode() not in bench.kept()


def test_a_run_that_ends_at_once_is_told_by_what_it_wrote_first(tmp_path, monkeypatch):
    """Two concurrent runs do not mix up their messages."""
    with listening() as server:
        benches = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            benches.append(Told(tmp_path / name, monkeypatch, [url(server.server_port)], ", on: [end]"))
        threads = [threading.Thread(target=bench.run, args=("",)) for bench in benches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        runs = {line for one in server.wait(2) for line in one["message"].splitlines() if line.startswith("run: ")}
    assert runs == {f"run: {bench.folder.name}" for bench in benches}
