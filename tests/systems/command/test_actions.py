"""command.run, on this machine."""

import hashlib

import pytest

from drillbook.inventory import inventory
from drillbook.judge.result import Verdict
from tests.engine.test_runner import HOSTS, Bench, step


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_long_output_goes_into_a_file_of_the_run(bench):
    view = bench.run("verify:\n" + step(["head", "-c", "30000000", "/dev/zero"]).replace("}", ", keep: true}", 1))
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    kept = view.result.steps[0].facts["evidence"]
    data = (bench.folder / kept["file"]).read_bytes()
    assert kept["bytes"] == len(data) == 30_000_000
    assert kept["sha256"] == hashlib.sha256(data).hexdigest()
    assert (bench.folder / "journal.jsonl").stat().st_size < 100_000


def test_environment_folder_and_input(bench):
    text = 'verify:\n  - command.run: {argv: [sh, -c, \'pwd; printf %s "$A"; cat\'], env: {A: "it\'s"}, cwd: /usr, stdin: in, effect: read}\n    hosts: controller\n'
    view = bench.run(text)
    assert view.result.steps[0].facts["stdout"] == "/usr\nit'sin"


def test_other_statuses_can_be_good(bench):
    assert (
        bench.run("verify:\n" + step(["sh", "-c", "exit 3"]).replace("}", ", exit: [3]}", 1)).result.verdict
        is Verdict.PASSED
    )
    view = bench.run("verify:\n" + step(["sh", "-c", "echo gone wrong >&2; exit 4"]).replace("}", ", exit: [3]}", 1))
    assert view.result.verdict is Verdict.FAILED
    assert "gone wrong" in view.steps[0].message


def checked(bench, check):
    text = HOSTS.replace("SCRATCH", str(bench.root / "scratch"))
    text = text.replace("services: {", f"services: {{queue: {{kind: command, host: controller, check: {check}}}, ")
    (bench.root / "hosts.yml").write_text(text)
    bench.inventory = inventory.load(bench.root / "hosts.yml")
    return bench.run("verify:\n  - command.check: {service: queue}\n")


def test_the_health_command_of_a_service(bench):
    view = checked(bench, "[sh, -c, 'echo 3 waiting']")
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert view.result.steps[0].facts == {"exit": 0, "stdout": "3 waiting", "stderr": ""}
    view = checked(bench, "[sh, -c, 'echo stuck >&2; exit 2']")
    assert view.result.verdict is Verdict.FAILED
    assert [(one.code, one.measured) for one in view.result.findings] == [("service-state", "status 2 stuck")]
    view = checked(bench, "[no-such-program-anywhere]")
    assert view.result.verdict is Verdict.REFUSED
