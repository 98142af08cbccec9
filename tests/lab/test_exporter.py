"""Metrics about the sessions of the lab's PostgreSQL."""

import threading
import urllib.request

import psycopg
import pytest

from drillbook.lab.exporter import Exporter
from drillbook.lab.layout import ADDRESS
from tests.lab.looking import admin


@pytest.fixture
def exporter(lab):
    made = Exporter(0, lab.port("postgres.db-1"), lab.folder / "secrets" / "pg_admin")
    served = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    served.start()
    yield made
    made.shutdown()
    served.join()
    made.server_close()
    if made.session is not None:
        made.session.close()


def scrape(exporter):
    with urllib.request.urlopen(f"http://{ADDRESS}:{exporter.server_port}/metrics", timeout=10) as answer:
        return answer.read().decode().splitlines()


def test_sessions_are_counted_by_database_and_state(lab, exporter):
    def idle():
        lines = scrape(exporter)
        assert "pg_up 1" in lines
        (line,) = [
            line for line in lines if line.startswith('pg_stat_activity_count{datname="template1",state="idle"}')
        ] or ["0"]
        return int(line.split()[-1])

    with admin(lab, "template1"), admin(lab, "template1"):
        assert idle() == 2


def test_the_session_of_the_exporter_is_kept_and_replaced_after_its_end(lab, exporter):
    scrape(exporter)
    first = exporter.session.info.backend_pid
    scrape(exporter)
    assert exporter.session.info.backend_pid == first
    with admin(lab) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (first,))
    assert "pg_up 0" in scrape(exporter)
    assert "pg_up 1" in scrape(exporter)
    assert exporter.session.info.backend_pid != first


def test_a_server_that_lets_nobody_in_is_down(lab, tmp_path):
    wrong = tmp_path / "password"
    wrong.write_text("wrong")
    made = Exporter(0, lab.port("postgres.db-1"), wrong)
    try:
        assert made.render() == "# TYPE pg_up gauge\npg_up 0\n"
    finally:
        made.server_close()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=ADDRESS, port=lab.port("postgres.db-1"), user="postgres", dbname="postgres", password="wrong")
