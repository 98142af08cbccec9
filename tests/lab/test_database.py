"""The lab's PostgreSQL."""

import psycopg
import pytest

from drillbook.lab import seed
from drillbook.lab.layout import ADDRESS, Lab
from tests.lab.looking import REFUSED, admin, digests, supervisor, until

from .conftest import get, run


def test_passwords_are_needed(lab: Lab) -> None:
    for host in (ADDRESS, str(lab.home("db-1"))):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=host, port=lab.port("postgres.db-1"), user="postgres", dbname="postgres", password="wrong")


def test_the_database_comes_back_after_its_data_was_wiped(lab: Lab) -> None:
    port, data = lab.port("postgres.db-1"), lab.data_directory("db-1")
    supervisor(lab, "app-1", "stop", "traffic")  # traffic would write into tables without keys
    with admin(lab) as connection:
        before = digests(connection)
    env = f"export PGPASSWORD={lab.secret('pg_admin')} PGHOST={ADDRESS} PGPORT={port} PGUSER=postgres;"
    assert run(lab, "db-1", f"{env} pg_dump -Fc -f tmp/dpa.dump dpa").status == 0
    supervisor(lab, "db-1", "stop", "postgresql")
    assert run(lab, "db-1", f"rm -rf {data}").status == 0
    assert run(lab, "db-1", "supervisorctl -c supervisord.conf start postgresql").status != 0
    done = run(
        lab,
        "db-1",
        f"printf %s {lab.secret('pg_admin')} > tmp/pw && initdb -N -U postgres -A scram-sha-256 "
        f"--pwfile tmp/pw -E UTF8 --locale C -D {data} && "
        f"cat postgresql.lab.conf >> {data}/postgresql.conf",
    )
    assert done.status == 0, done
    supervisor(lab, "db-1", "start", "postgresql")
    assert get(lab, "/health")[0] == 503
    with admin(lab, "postgres") as connection:
        seed.create_database(connection, "dpa", lab.secret("pg_app"))
    done = run(lab, "db-1", f"{env} pg_restore -j2 -d dpa tmp/dpa.dump")
    assert done.status == 0, done
    until(200, lab, "/health")
    assert until(200, lab, "/api/v1/documents/3") <= REFUSED, "the pool waits for its next attempt"
    with admin(lab) as connection:
        assert digests(connection) == before
    supervisor(lab, "app-1", "start", "traffic")
