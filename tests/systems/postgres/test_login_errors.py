"""Errors of a login: they name the server as the inventory does, and the field of the inventory to correct."""

import psycopg
import pytest

from drillbook.systems.postgres.connection import connected, session_at, way
from tests.ports import free_port
from tests.program import Folder, here
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import secret

place, primary = fixtures.place, fixtures.primary


def told(place, service, **options):
    service.written_at("/srv/shop/inventory/shop.yml", 5, {"admin": 7, "user": 8, "database": 9, "address": 10, "port": 11})
    with pytest.raises(psycopg.OperationalError) as failed, connected(place.context(), service, **options):
        pass
    return str(failed.value)


@pytest.mark.parametrize("reach", ["direct", "ssh"])
def test_a_failed_login_names_the_server_and_the_field(place, primary, reach):
    def service(**fields):
        return primary.service.model_copy(update={"name": "shop", "reach": reach, **fields})

    right = service()
    at = f"the server at {right.address}:{right.port}" + (f", as seen from {right.host}" if reach == "ssh" else "")
    wrong = secret("no", "TEST_WRONG")
    wrong.stands("/srv/shop/inventory/shop.yml:21")
    said = told(place, service(admin=right.admin.model_copy(update={"password": wrong})))
    assert said == (
        f'{at}: password authentication failed for user "{right.admin.user}"; check `services.shop.admin` (inventory/shop.yml:7)'
        " and `services.shop.admin.password` (inventory/shop.yml:21)"
    )
    said = told(place, service(password=wrong), as_user=True)
    assert "check `services.shop.user` (inventory/shop.yml:8) and `services.shop.password` (inventory/shop.yml:21)" in said
    said = told(place, service(database="nowhere"))
    assert said == f'{at}: database "nowhere" does not exist; check `services.shop.database` (inventory/shop.yml:9)'
    port = free_port()
    said = told(place, service(port=port))
    assert said.startswith(at.replace(f":{right.port}", f":{port}"))
    assert said.endswith(
        "; check `services.shop.address` (inventory/shop.yml:10) and `services.shop.port` (inventory/shop.yml:11)"
    )
    with connected(place.context(), right) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_snapshot_names_the_server_too(place, primary):
    wrong = primary.service.model_copy(update={"reach": "ssh", "database": "nowhere"})
    with way(place.context(), wrong) as (address, port):
        assert port != wrong.port
        with (
            pytest.raises(psycopg.OperationalError, match=rf"^the server at {wrong.address}:{wrong.port}, as seen from "),
            session_at(wrong, address, port, place.context().deadline),
        ):
            pass


def test_a_check_names_the_line_of_the_port_and_says_it_once(tmp_path):
    folder, port = Folder(tmp_path), free_port()
    (tmp_path / "inventory" / "lab.yml").write_text(
        f"environment: lab\nhosts: {{{here(tmp_path)}}}\nservices:\n  app:\n    kind: postgres\n    host: controller\n"
        f"    reach: ssh\n    port: {port}\n    database: shop\n    user: shop\n    admin: {{user: postgres}}\n"
        "    data_directory: /srv/shop\n"
    )
    folder.write("ready:\n  - postgres.healthy: {service: app}\n")
    done = folder.run("drill.check", "sample")
    said = " ".join(done.stdout.split())
    assert done.returncode == 4, done.stdout + done.stderr
    assert f"the server at 127.0.0.1:{port}, as seen from controller: nothing answered at this address" in said
    assert "`services.app.port` (inventory/lab.yml:8)" in said
    assert said.count("nothing answered at this address") == 1, said
