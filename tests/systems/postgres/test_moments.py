"""The newest committed moment in a database, by every available basis."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk.sandbox import Sandbox
from drillbook.systems.postgres import disposable_server
from drillbook.systems.postgres.service import Admin
from tests.needs import need
from tests.systems.postgres import fixtures
from tests.systems.postgres.test_disposable_server import base_backup

place = fixtures.place


@pytest.fixture(scope="module")
def primary(place):
    cluster = place.place("primary")
    cluster.create()
    with (cluster.data / "postgresql.conf").open("a") as file:
        file.write("track_commit_timestamp = on\n")
    cluster.start()
    cluster.sql("CREATE DATABASE shop", database="postgres")
    cluster.sql(
        "CREATE TABLE orders (id int, created_at timestamptz, day date, later timestamptz)",
        "INSERT INTO orders SELECT g, '2026-01-02 03:04:05Z'::timestamptz - g * interval '30 s', '2026-01-02', now() + interval "
        "'1 day' FROM generate_series(0, 50) AS g",
        "CREATE TABLE nothing (at timestamptz)",
    )
    return cluster


def test_a_column_tells_the_newest_write_and_how_often_it_is_written(place, primary):
    facts = place.run("postgres.newest_moment", service="primary", tables={"orders": "created_at"})
    found = {moment["basis"]: moment for moment in facts["moments"]}
    newest = found["the newest created_at of orders"]
    assert (newest["moment"], newest["error_s"]) == ("2026-01-02T03:04:05.000Z", 30.0)


def test_a_day_is_known_to_a_day_only(place, primary):
    facts = place.run("postgres.newest_moment", service="primary", tables={"orders": "day"})
    assert [moment["error_s"] for moment in facts["moments"] if "day" in moment["basis"]] == [86400.0]


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"orders": "id"}, "is of the type integer"),
        ({"orders": "gone"}, "does not exist"),
        ({"orders": "later"}, "in the future: the newest later of orders"),
    ],
)
def test_a_column_that_tells_no_moment_is_not_used(place, primary, tables, said):
    with pytest.raises(CouldNotVerify, match=said):
        place.run("postgres.newest_moment", service="primary", tables=tables)


def test_the_commits_of_a_copy_are_those_of_its_original(place, primary):
    """The server of the copy starts, and writes; neither counts as a moment of the original."""
    need("unshare")
    service = place.place(
        "copy",
        admin=Admin(user="postgres"),
        password=None,
        sandbox={"folder": str(place.folder / "box"), "data_may_leave": True},
    ).service
    primary.sql("CREATE TABLE last (a int)")
    last = primary.sql("SELECT timestamp FROM pg_last_committed_xact()")[0][0]
    box = Sandbox.of(place.context(), service)
    box.make()
    try:
        base_backup(primary, Path(service.data))
        disposable_server.start_existing(box, service.data)
        facts = place.run("postgres.newest_moment", service="copy", tables={"nothing": "at"})
        assert "track_commit_timestamp" in facts["basis"]
        assert abs(datetime.fromisoformat(facts["newest_moment"]) - last) < timedelta(milliseconds=1)
        assert datetime.now(UTC) > last
        with pytest.raises(StepFailed) as caught:
            place.run("postgres.newest_moment", service="copy", max_age="1ms")
        assert [found.code for found in caught.value.findings] == ["backup-too-old"]
    finally:
        box.remove()


def test_nothing_that_tells_a_moment_is_no_answer(place, primary):
    other = place.place("bare", database="postgres")
    other.create()
    other.start()
    with pytest.raises(CouldNotVerify, match="bare contains no data from which the time of its last write can be read"):
        place.run("postgres.newest_moment", service="bare")
