"""Two projects whose sandboxes have the same name on one host: none touches the sandbox of the other."""

from __future__ import annotations

import os
import signal
import tarfile
from pathlib import Path

import pytest

from drillbook.sdk.sandbox import sandbox_folder
from drillbook.sdk.sandbox_config import SandboxConfig
from tests.program import Folder
from tests.waiting import until

NAME = f"shared-by-two-{os.getpid()}"
DRILL = f"restore:\n  - backup.restore: {{service: {NAME}, from: nightly}}\n"
HANG = "  - command.run: {argv: [sleep, '600'], effect: read}\n    hosts: controller\n"


@pytest.fixture
def projects(tmp_path):
    (tmp_path / "text").write_text("content")
    (tmp_path / "kept").mkdir()
    with tarfile.open(tmp_path / "kept" / "day.tar", "w") as archive:
        archive.add(tmp_path / "text", "text")
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folder = Folder(tmp_path / name)
        path = folder.root / "inventory" / "lab.yml"
        service = f"{NAME}: {{kind: folder, host: controller, sandbox: {{data_may_leave: true}}}}"
        text = path.read_text().replace("services: {", f"services: {{{service}, ")
        path.write_text(f"{text}backups:\n  nightly: {{kind: tar, host: controller, at: {tmp_path}/kept}}\n")
        folder.write(DRILL)
        folder.write(DRILL + HANG, "hanging")
        made.append(folder)
    yield made
    made[0].run("drill.recover")


def test_the_sandbox_of_another_project_is_refused_and_kept(projects):
    one, two = projects
    restored = Path(sandbox_folder(NAME, SandboxConfig()), "data", "text")
    process = one.start("drill", "hanging", "--quiet")
    try:
        until(restored.exists)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (run,) = [path.name for path in (one.root / "reports").iterdir() if "-hanging-" in path.name and path.is_dir()]
    for task in ("drill.check", "drill"):
        done = two.run(task, "sample")
        said = " ".join(done.stdout.split())
        assert done.returncode == 4, done.stdout
        assert f"{sandbox_folder(NAME, SandboxConfig())} exists already: the run {run} created it" in said
        assert "recover that run with `drillbook drill.recover` in the project that started it" in said
    assert "nothing to recover" in two.run("drill.recover").stdout
    assert restored.exists(), "the other project removed nothing"
    assert one.run("drill.recover").returncode == 0
    assert not restored.exists()
    assert two.run("drill", "sample", "--quiet").returncode == 0
