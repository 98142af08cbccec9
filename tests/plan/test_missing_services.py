"""A drill whose service does not exist on this machine: the check, the run and their next commands."""

import pytest

from tests.program import PROOF, Folder

MISSING = "the other lab, by `--inventory other`"
LAB = "environment: lab\nhosts: {controller: {local: true, lease: {boot: none}}}\nservices:\n" + "".join(
    f"  {name}: {{kind: process, host: controller, missing: '{MISSING}'}}\n" for name in ("app", "copy", "tar")
)
USES = "verify:\n" + "".join(
    f"  - command.run: {{argv: ['true', '{{{{ services.{name}.host }}}}'], effect: read}}\n    hosts: controller\n"
    for name in ("copy", "tar")
)


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    (tmp_path / "inventory" / "lab.yml").write_text(LAB)
    made.write(PROOF + USES)
    return made


def test_the_check_tells_once_what_to_install(folder):
    done = folder.run("drill.check", "sample")
    told = " ".join(done.stdout.split())
    assert done.returncode == 3
    assert "the drill needs app, copy and tar, but they are not installed: install the other lab" in told
    assert told.lower().count("install the other lab") == 1


@pytest.mark.parametrize("other", [True, False])
def test_the_next_command_is_one_that_can_work(folder, other):
    if not other:
        lab = folder.root / "inventory" / "lab.yml"
        lab.write_text(lab.read_text().replace(MISSING, "tar"))
    told = " ".join(folder.run("drill", "sample").stdout.split())
    again = "run the drill with the inventory other drillbook drill sample --inventory other"
    assert (again in told) is other
    assert ("install the missing services, then check again drillbook drill.check sample" in told) is not other
    assert ("then run the drill drillbook drill sample" in told) is not other
