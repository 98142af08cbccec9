"""The account of this process, and its text in the record of a run."""

import os
import pwd

import pytest

from drillbook.signing import account

NOBODY_HAS = 2**31 - 7


def test_an_account_has_its_name_or_its_number(monkeypatch):
    monkeypatch.setenv("USER", "somebody-else")
    assert account.name() == pwd.getpwuid(os.getuid()).pw_name != "somebody-else"
    assert account.name(NOBODY_HAS) == str(NOBODY_HAS)


@pytest.mark.parametrize(
    ("kept", "more"),
    [(str(NOBODY_HAS), (str(NOBODY_HAS),)), (str(account.UNSET), ()), ("no number", ()), (None, ())],
    ids=["logged in", "unset", "damaged", "without audit"],
)
def test_the_account_that_logged_in_stays_after_sudo(tmp_path, monkeypatch, kept, more):
    path = tmp_path / "loginuid"
    if kept is not None:
        path.write_text(kept)
    monkeypatch.setattr(account, "LOGIN", path)
    assert account.names() == (account.name(), *more)
    assert account.told() == " for ".join(account.names()) + f" (uid {os.getuid()})"
    assert account.of(account.told()) == account.names()


def test_accounts_are_read_from_a_text_of_any_version():
    assert account.of("root for alice (uid 0)") == ("root", "alice")
    assert account.of("alice") == ("alice",)
    assert account.of("") == ()
