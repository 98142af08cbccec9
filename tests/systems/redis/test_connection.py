"""Errors of a session: they name the server as the inventory does, and the fields to check."""

import re

import pytest

from tests.ports import free_port
from tests.program import Folder, here


@pytest.mark.parametrize("reach", ["ssh", "direct"])
def test_a_wrong_port_is_told_by_the_inventory_and_not_by_the_tunnel(tmp_path, reach):
    folder, port = Folder(tmp_path), free_port()
    (tmp_path / "inventory" / "lab.yml").write_text(
        f"environment: lab\nhosts: {{{here(tmp_path)}}}\nservices:\n  app:\n    kind: redis\n    host: controller\n"
        f"    address: 127.0.0.1\n    reach: {reach}\n    port: {port}\n    data_directory: /srv/cache\n"
    )
    folder.write("ready:\n  - redis.healthy: {service: app}\nrestore:\n  - redis.unmark: {service: app}\n")
    done = folder.run("drill.check", "sample")
    said = " ".join(done.stdout.split())
    assert done.returncode == 4, done.stdout + done.stderr
    seen = ", as seen from controller" if reach == "ssh" else ""
    assert f"app at 127.0.0.1:{port}{seen}: " in said
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", said)) == {str(port)}, "no port of the tunnel"
