"""Tables, rights and extensions that a step lacks: reported before a drill, and with them the step works."""

from dataclasses import replace

import pytest

from drillbook.errors import DrillbookError
from drillbook.systems.postgres import preflight
from drillbook.systems.postgres.service import Admin
from tests.ports import free_port
from tests.systems.postgres import fixtures
from tests.systems.refusals import refused_until

place = fixtures.place
INDEX = "CREATE INDEX goods_code ON goods (code)"
OWN = "ALTER TABLE goods OWNER TO clerk; GRANT CREATE ON SCHEMA public TO clerk"
READ = "GRANT SELECT ON goods TO clerk"
MAKE = "CREATE TABLE later (at timestamptz, code int); GRANT SELECT ON later TO clerk; INSERT INTO later VALUES ('2026-01-02', 1)"
EXTEND = "CREATE EXTENSION amcheck"


@pytest.fixture(scope="module")
def primary(place):
    """A server whose service `poor` logs in as a role without rights, also for administration."""
    cluster = place.place("primary")
    cluster.create()
    cluster.start()
    cluster.sql("CREATE DATABASE shop", "CREATE ROLE clerk LOGIN PASSWORD 'clerk'", database="postgres")
    password = cluster.service.password.reveal()
    cluster.sql(f"ALTER ROLE clerk PASSWORD '{password}'")
    admin = Admin(user="clerk", password=cluster.service.password)
    place.extra["poor"] = cluster.service.model_copy(update={"name": "poor", "admin": admin})
    return cluster


@pytest.fixture(autouse=True)
def goods(primary):
    primary.sql("CREATE TABLE goods (code int, at timestamptz)", "INSERT INTO goods VALUES (1, '2026-01-02')")
    primary.sql("CREATE TABLE parts (code int) PARTITION BY RANGE (code)")
    yield
    primary.sql("REASSIGN OWNED BY clerk TO postgres", "DROP TABLE IF EXISTS goods, parts, later", "DROP OWNED BY clerk")
    primary.sql("DROP EXTENSION IF EXISTS amcheck")


@pytest.mark.parametrize(
    ("name", "params", "failed", "said", "mend"),
    [
        ("sql", {"query": "SELECT 1 FROM later"}, 'relation "later" does not exist', "could not query its tables: ", MAKE),
        ("sql", {"query": "--\n(SELECT code FROM goods)"}, "permission denied", "permission denied for table goods", READ),
        ("sql", {"query": "SELECT code FROM goods", "as": "admin"}, "permission denied", "permission denied", READ),
        (
            "sql",
            {"query": "UPDATE later SET code = 2", "effect": "write", "as": "admin"},
            "later",
            "later",
            f"{MAKE}; GRANT UPDATE ON later TO clerk",
        ),
        ("explain", {"query": "SELECT 1 FROM later"}, 'relation "later" does not exist', "could not query its tables", MAKE),
        (
            "analyze",
            {"table": "later"},
            'relation "public.later" does not exist',
            "there is no table public.later",
            f"{MAKE}; {OWN}",
        ),
        ("create_index", {"definition": INDEX}, "must be owner", "may not create an index on public.goods", OWN),
        ("create_index", {"definition": INDEX.replace("goods", "later")}, "later", "there is no table public.later", MAKE),
        ("newest_moment", {"tables": {"goods": "at"}}, "permission denied", "permission denied for table goods", READ),
        ("newest_moment", {"tables": {"later": "at"}}, "does not exist", "the column at of public.later does not", MAKE),
        ("intact", {}, "amcheck is not installed", "poor: the extension amcheck is not installed in the database", EXTEND),
    ],
)
def test_what_is_missing_refuses_a_step_that_works_with_it(place, primary, name, params, failed, said, mend):
    action = place.action(f"postgres.{name}", service="poor", **params)
    with pytest.raises(DrillbookError, match=failed):
        action.run(place.context())
    told = []
    action.ready(replace(place.context(), changed=True, doubt=told.append))
    assert ["an earlier step may change this" in text for text in told] == [True]

    def repair():
        primary.sql(mend)
        if name in ("analyze", "create_index"):
            primary.sql("ALTER TABLE IF EXISTS later OWNER TO clerk", OWN)

    refused_until(lambda: action.ready(place.context()), said, repair)
    action.run(place.context())


def test_a_partitioned_table_refuses_an_index(place, primary):
    action = place.action("postgres.create_index", service="primary", definition="CREATE INDEX parts_code ON parts (code)")
    with pytest.raises(DrillbookError, match="partitioned"):
        action.run(place.context())

    def make_ordinary():
        primary.sql("DROP TABLE parts; CREATE TABLE parts (code int)")

    refused_until(lambda: action.ready(place.context()), "is partitioned or foreign, so that no index", make_ordinary)
    action.run(place.context())


def test_an_index_that_exists_needs_no_right(place, primary):
    primary.sql(INDEX)
    action = place.action("postgres.create_index", service="poor", definition=INDEX)
    action.ready(place.context())
    assert action.run(place.context())["already"] is True


def test_without_the_right_to_analyze_nothing_would_be_updated(place, primary):
    """The server only warns."""
    action = place.action("postgres.analyze", service="poor", table="goods")
    assert action.run(place.context())["rows"] == -1
    refused_until(
        lambda: action.ready(place.context()),
        "the role clerk may not analyze public.goods, because it owns neither",
        lambda: primary.sql(OWN),
    )
    assert action.run(place.context())["rows"] == 1


def test_the_right_to_maintain_is_enough_to_analyze(place, primary):
    if primary.sql("SHOW server_version_num")[0][0] < "170000":
        pytest.skip("the right exists since PostgreSQL 17")
    primary.sql("GRANT MAINTAIN ON goods TO clerk")
    place.action("postgres.analyze", service="poor", table="goods").ready(place.context())


def test_a_role_that_is_no_superuser_may_not_be_able_to_borrow_the_extension(place):
    told = []
    place.action("postgres.intact", service="poor", borrow=True).ready(replace(place.context(), doubt=told.append))
    assert told == ["that the role clerk, which is no superuser, may create the extension amcheck"]
    told.clear()
    place.action("postgres.intact", service="primary", borrow=True).ready(replace(place.context(), doubt=told.append))
    assert told == []


@pytest.mark.parametrize("query", ["SHOW port", "CREATE TABLE made (a int)", "SELECT 1"])
def test_a_statement_is_not_run(place, primary, query):
    place.action("postgres.sql", service="primary", query=query, effect="write", **{"as": "admin"}).ready(place.context())
    assert primary.sql("SELECT to_regclass('made')") == [(None,)]


def test_a_table_that_somebody_locks_is_not_waited_for(place, primary, monkeypatch):
    monkeypatch.setattr(preflight, "_LIMITS", "SET lock_timeout = '50ms'")
    told = []
    action = place.action("postgres.sql", service="primary", query="SELECT 1 FROM goods", **{"as": "admin"})
    with primary.connect() as session:
        session.execute("BEGIN; LOCK goods")
        action.ready(replace(place.context(), doubt=told.append))
    assert ["that primary has everything that the step needs: " in text and "lock timeout" in text for text in told] == [
        True
    ]


def test_a_server_that_does_not_answer_is_left_to_the_drill(place, primary):
    away = primary.service.model_copy(update={"name": "away", "port": free_port()})
    place.extra["away"] = away
    action = place.action("postgres.explain", service="away", query="SELECT 1")
    context = place.context()
    action.ready(context)
    assert context.unanswered == {("away", "", False)}, "the next step does not ask again"
    place.extra["away"] = primary.service.model_copy(update={"name": "away"})
    place.action("postgres.explain", service="away", query="SELECT 1 FROM later").ready(
        replace(place.context(), unanswered=context.unanswered)
    )
    place.extra["away"] = away
    with pytest.raises(DrillbookError, match="refused"):
        action.run(place.context())


def test_the_health_of_a_server_needs_the_right_to_write_to_its_log(place, primary):
    functions = primary.sql("SELECT oid::regprocedure::text FROM pg_proc WHERE proname = 'pg_logical_emit_message'")
    to = "{} ON FUNCTION " + ", ".join(name for (name,) in functions)
    primary.sql(f"{to.format('REVOKE EXECUTE')} FROM PUBLIC")
    action = place.action("postgres.healthy", service="poor")
    with pytest.raises(DrillbookError, match="permission denied for function"):
        action.run(place.context())
    refused_until(
        lambda: action.ready(place.context()),
        "the role clerk may not call pg_logical_emit_message",
        lambda: primary.sql(f"{to.format('GRANT EXECUTE')} TO PUBLIC"),
    )
    action.run(place.context())


@pytest.mark.parametrize(
    ("name", "user"),
    [("locks", False), ("indexes", False), ("connections", False), ("healthy", False), ("plans", True)],
)
def test_a_login_that_the_server_refuses_is_not_verified(place, primary, name, user):
    role = "user" if user else "admin"
    own = primary.service.model_copy(update={"name": "other"})
    place.extra["other"] = (
        own.model_copy(update={"user": "nobody"})
        if user
        else own.model_copy(update={"admin": own.admin.model_copy(update={"user": "nobody"})})
    )
    action, told = place.action(f"postgres.{name}", service="other"), []
    with pytest.raises(DrillbookError, match="password authentication failed"):
        action.run(place.context())
    context = replace(place.context(), doubt=told.append)
    action.ready(context)
    action.ready(context)
    assert ["the login at other: " in text and f"`services.other.{role}`" in text for text in told] == [True], told
    place.extra["other"], told[:] = own, []
    action.ready(replace(place.context(), doubt=told.append))
    assert told == []
