"""Accounts of steps: the forms in a file, and which of several settings counts."""

import pytest
from pydantic import BaseModel, ValidationError

from drillbook.sdk.become import Become, nearest
from drillbook.values import Secret

WORD, OTHER = (Secret(source="env", name=name) for name in ("WORD", "OTHER"))


class Entry(BaseModel):
    """Entry of an inventory with this key."""

    become: Become | None = None


@pytest.mark.parametrize(
    ("written", "user"),
    [(True, "root"), (False, ""), ("postgres", "postgres"), ({}, "root"), ({"user": False}, ""), ({"user": "web$"}, "web$")],
)
def test_each_form_names_an_account(written, user):
    assert Entry(become=written).become.user == user
    assert str(Entry(become=written).become) == (user or "the SSH user")


@pytest.mark.parametrize("written", ["-u root", "a b", "a\n", {"users": "a"}, 7])
def test_whatever_is_no_account_is_refused(written):
    with pytest.raises(ValidationError):
        Entry(become=written)


def test_a_password_that_is_not_set_is_not_written():
    assert Become(user="web").model_dump() == {"user": "web"}
    assert Become(password=WORD).model_dump().keys() == {"user", "password"}


def test_the_nearest_setting_names_the_account():
    assert nearest(None, [None, Become(user="web"), Become()]).user == "web"
    assert nearest(None, [None, None]) is None
    assert nearest(None, [Become(user=False), Become()]) is None, "the SSH user itself"
    assert nearest("db", [Become(user="web")]).user == "db"
    assert nearest("", [Become()]) is None


def test_the_nearest_password_is_used_for_every_account():
    """It is the password of the SSH user, whatever the account."""
    levels = [Become(user="web"), Become(password=WORD), Become(password=OTHER)]
    assert nearest("db", levels).password == WORD
    assert nearest("db", levels[:1]).password is None
