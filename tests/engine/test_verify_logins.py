"""Each login of the phase `verify` is tried once for all steps of a drill."""

from types import SimpleNamespace

import pytest

from drillbook.engine.verify_logins import Logins


class Refusing:
    """Service that refuses the password of the application's role, and counts the attempts."""

    def __init__(self):
        self.tried = []

    def refusal(self, *_, database, as_user):
        self.tried.append((database, as_user))
        return "password authentication failed" if as_user else ""


@pytest.fixture
def service():
    return Refusing()


@pytest.fixture
def refused(service):
    logins = Logins(service.refusal)
    step = SimpleNamespace(services=lambda: ["database", "database"])
    context = SimpleNamespace(services={"database": service}, changed=False)

    def ask(**fields):
        return list(logins.refused(step, SimpleNamespace(service="database", **fields), context))

    return ask


def test_a_wrong_password_is_sent_once_for_all_steps(service, refused):
    told = ["the login at database: password authentication failed"]
    assert [refused(as_="user", database="shop") for _ in range(5)] == [told] * 5
    assert service.tried == [("shop", True)]


def test_other_databases_and_roles_are_other_logins(service, refused):
    for database in ("shop", "archive"):
        assert refused(as_="admin", database=database) == []
    refused(as_="user", database="shop")
    assert service.tried == [("shop", False), ("archive", False), ("shop", True)]
