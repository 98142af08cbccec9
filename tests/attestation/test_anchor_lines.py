"""Anchors in messages to contacts: a real listener."""

from __future__ import annotations

import shutil

from drillbook.inventory import inventory
from tests.attestation.test_sign_runs import SAMPLE
from tests.engine.test_runner import HOSTS
from tests.notify.listener import listening


def test_what_contacts_were_told_is_an_anchor(bench, audit, tmp_path, monkeypatch):
    with listening() as server:
        monkeypatch.setenv("WAY", f"json://127.0.0.1:{server.server_port}")
        contact = "contacts:\n  oncall: {role: DBA, notify: [!env WAY]}\n"
        (bench.root / "hosts.yml").write_text(HOSTS.replace("SCRATCH", str(bench.root / "scratch")) + contact)
        bench.inventory = inventory.load(bench.root / "hosts.yml")
        bench.run(SAMPLE)
        messages = [one["message"] for one in server.wait(2)]
    archive = tmp_path / "messages.txt"
    archive.write_text("\n".join(f"> {line}" for text in messages for line in text.splitlines()))
    assert audit(anchor=str(archive))[0] == 0
    shutil.rmtree(bench.folder)
    status, said = audit(anchor=str(archive))
    assert (status, f"{bench.folder.name} is missing" in said) == (3, True)
