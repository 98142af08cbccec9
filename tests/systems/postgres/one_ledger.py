"""A primary with one table, a base backup of it, and the processes that receive its WAL."""

import pytest

from tests.processes import entries
from tests.systems.postgres.site import BUCKET


@pytest.fixture(scope="module")
def primary(place):
    cluster = place.place("primary")
    cluster.create()
    cluster.start()
    cluster.sql(f'CREATE DATABASE "{cluster.service.database}"', database="postgres")
    cluster.sql(
        "CREATE TABLE ledger (id bigserial PRIMARY KEY, note text)",
        "INSERT INTO ledger (note) SELECT 'before ' || n FROM generate_series(1, 500) n",
    )
    return cluster


@pytest.fixture(scope="module")
def base(place, primary):
    return place.run("postgres.base_backup", service="primary", to=f"s3://{BUCKET}/base")


def processes(place):
    """Pids of programs in the site's folder that receive WAL."""
    found = []
    for link in entries("cwd"):
        try:
            words = (link.parent / "cmdline").read_bytes().split(b"\0")
            if str(link.readlink()).startswith(str(place.host.target.scratch)) and (
                any(one.endswith(b"pg_receivewal") for one in words) and words[0] not in (b"timeout", b"setsid")
            ):
                found.append(int(link.parent.name))
        except OSError:
            continue
    return found


def ledger(primary):
    return primary.sql("SELECT count(*), sum(hashtextextended(l::text, 0)) FROM ledger l")
