"""Logins of verify steps are tried before a drill."""

from __future__ import annotations

from drillbook.sdk.login_check import refused
from drillbook.values import Secret
from tests.systems.mariadb import site


def test_a_login_that_the_server_refuses_is_told(server, tmp_path):
    (tmp_path / "word").write_text("not-this-one")
    place = site.estate(tmp_path, server, {"kind": "mariadb_dump", "at": str(tmp_path)})
    right, ctx = place.inventory.services["database"], place.ctx()
    assert refused(ctx, right) == ""
    wrong = {"user": "app", "password": Secret(source="file", name=str(tmp_path / "word"))}
    assert "Access denied for user 'app'" in refused(ctx, right.model_copy(update=wrong))
    assert "Unknown database 'nowhere'" in refused(ctx, right, database="nowhere")
    assert refused(ctx, right.model_copy(update={"address": f"{tmp_path}/none"})) == "", "the drill may start it"
