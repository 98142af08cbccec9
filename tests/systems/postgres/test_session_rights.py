"""Rights on the sessions of other roles: reported before a drill, and with them the step works."""

import time
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from drillbook.errors import DrillbookError
from drillbook.systems.postgres.service import Admin
from tests.systems.postgres import fixtures
from tests.systems.refusals import refused_until

place = fixtures.place
SEE, END = "GRANT pg_read_all_stats TO clerk", "GRANT pg_signal_backend TO clerk"


@pytest.fixture(scope="module")
def primary(place):
    """A server whose service `poor` logs in as a role without rights, also for administration."""
    cluster = place.place("primary")
    cluster.create()
    cluster.start()
    cluster.sql("CREATE DATABASE shop", "CREATE ROLE clerk LOGIN", "CREATE ROLE app LOGIN", database="postgres")
    password = cluster.service.password.reveal()
    cluster.sql(*(f"ALTER ROLE {role} PASSWORD '{password}'" for role in ("clerk", "app")))
    admin = Admin(user="clerk", password=cluster.service.password)
    place.extra["poor"] = cluster.service.model_copy(update={"name": "poor", "admin": admin})
    return cluster


@pytest.fixture(autouse=True)
def no_rights(primary):
    yield
    primary.sql("REVOKE pg_read_all_stats, pg_signal_backend, app FROM clerk", "ALTER ROLE clerk NOSUPERUSER")


@contextmanager
def opened(primary, user, application="till", idle=False):
    with closing(primary.connect(user=user)) as session:
        session.execute(f"SET application_name = '{application}'")
        if idle:
            session.execute("BEGIN")
        yield session


def checked(place, action):
    """Texts about everything that the check of ``action`` could not verify."""
    told = []
    action.ready(replace(place.context(), doubt=told.append))
    return told


@pytest.mark.parametrize(
    ("user", "has", "failed", "said", "mend"),
    [
        ("app", [END], "may not see the 1 sessions", "the role clerk may not see the sessions of the role app", SEE),
        ("app", [SEE], "permission denied", r"clerk may not end the sessions of the role app \(1\)", END),
        (
            "app",
            [],
            "may not see the 1 sessions",
            "the role clerk may not end the sessions of the role app",
            "GRANT app TO clerk",
        ),
        (
            None,
            [SEE, END],
            "permission denied",
            "may not end the sessions of the role postgres",
            "ALTER ROLE clerk SUPERUSER",
        ),
    ],
)
def test_a_right_that_is_missing_refuses_a_step_that_works_with_it(place, primary, user, has, failed, said, mend):
    if has:
        primary.sql(*has)
    action = place.action("postgres.terminate", service="poor", application="till")
    with opened(primary, user):
        with pytest.raises(DrillbookError, match=failed):
            action.run(place.context())
        told = []
        action.ready(replace(place.context(), changed=True, doubt=told.append))
        assert ["an earlier step may change this" in text for text in told[:1]] == [True]
        refused_until(lambda: action.ready(place.context()), f"poor: .*{said}", lambda: primary.sql(mend))
        assert action.run(place.context())["terminated"] == 1


def test_sessions_of_the_own_role_need_no_right(place, primary):
    action = place.action("postgres.terminate", service="poor", application="till")
    with opened(primary, "clerk"), opened(primary, "app", "other"):
        assert checked(place, action) == []
        assert action.run(place.context())["terminated"] == 1


def test_a_right_that_no_present_session_needs_is_not_verified(place, primary):
    action = place.action("postgres.terminate", service="poor", application="till")
    (said,) = checked(place, action)
    assert said.startswith("poor: that the role clerk may end the sessions which the step will find.")
    assert said.endswith('To end sessions of other roles, it needs: GRANT pg_read_all_stats, pg_signal_backend TO "clerk"')
    primary.sql(SEE, END)
    assert checked(place, action) == []
    assert checked(place, place.action("postgres.terminate", service="primary", application="till")) == []


def test_only_sessions_that_are_idle_for_too_long_need_the_right(place, primary):
    primary.sql(SEE)
    action = place.action("postgres.terminate", service="poor", idle_longer_than="100ms")
    with opened(primary, "app"):
        assert ["may end the sessions which the step will find" in text for text in checked(place, action)] == [True]
        with opened(primary, "app", idle=True):
            time.sleep(0.15)
            said = r"the role clerk may not end the sessions of the role app \(1\)"
            refused_until(lambda: action.ready(place.context()), said, lambda: primary.sql(END))
            assert action.run(place.context())["terminated"] == 1


def test_sessions_whose_state_is_hidden_may_not_be_idle(place, primary):
    """A step that ends idle sessions of the own role works beside them."""
    action = place.action("postgres.terminate", service="poor", idle_longer_than="1ms")
    with opened(primary, "app"), opened(primary, "clerk", idle=True):
        assert ["may end the sessions which the step will find" in text for text in checked(place, action)] == [True]
        assert action.run(place.context())["terminated"] == 1


@pytest.mark.parametrize("name", ["connections", "statements", "blocked"])
def test_sessions_that_the_role_may_not_see_are_not_verified(place, primary, name):
    action = place.action(f"postgres.{name}", service="poor")
    assert checked(place, action) == [
        (
            "poor: the sessions of other roles, which the role clerk may not see. To see them, it needs: "
            'GRANT pg_read_all_stats TO "clerk"'
        )
    ]
    primary.sql(SEE)
    assert checked(place, action) == []
    action.run(place.context())


def test_connections_of_hidden_sessions_are_not_counted(place, primary):
    """The step does not fail, and its numbers are too low: this is why the check tells of the right."""
    action = place.action("postgres.connections", service="poor")
    with opened(primary, "app"):
        before = action.run(place.context())["used"]
        primary.sql(SEE)
        assert action.run(place.context())["used"] == before + 1
