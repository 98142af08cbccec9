"""Converts `ansible_become` and the other Ansible variables about privilege to the key `become` of a host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from drillbook.errors import InventoryError
from drillbook.inventory.ansible.graph import Variable, Vaulted
from drillbook.values import Secret

METHODS = ("sudo", "ansible.builtin.sudo")
PASSWORDS = ("ansible_become_password", "ansible_become_pass")
TRUE, FALSE = ("yes", "on", "1", "true", "t", "y", "1.0"), ("no", "off", "0", "false", "f", "n", "0.0", "")
"""Words for truth values in Ansible, in lower case."""
_ENVIRONMENT = re.compile(
    r"""\{\{\s*lookup\(\s*(['"])(?:ansible\.builtin\.)?env\1\s*,\s*(['"])([A-Za-z_][A-Za-z0-9_]*)\2\s*\)\s*\}\}"""
)
_EXPRESSION = ("{{", "{%")


def become(name: str, variables: Mapping[str, Variable]) -> dict[str, Any] | None:
    """Return the value of `become` for the host ``name``. Returns None when Ansible would run commands as the SSH user.

    Raises InventoryError for a method other than sudo, and for a password that is not looked up in an environment
    variable.
    """
    asked = variables.get("ansible_become")
    if asked is None or not _truth(name, asked):
        return None
    method = variables.get("ansible_become_method")
    if method is not None and method.value not in METHODS:
        raise InventoryError(
            f"host {name!r} has ansible_become_method={_said(method)}, but Drillbook changes the account only by sudo",
            where=method.where,
            hint=(
                f"set this variable to sudo, or write the account into the inventory: `hosts: {{{name}: {{become: root}}}}`"
            ),
        )
    user = variables.get("ansible_become_user")
    if user is not None and (not isinstance(user.value, str) or any(mark in user.value for mark in _EXPRESSION)):
        raise _unread(name, "ansible_become_user", user, "become: ACCOUNT")
    account: dict[str, Any] = {"user": user.value if user is not None and user.value else "root"}
    given = [(key, variables[key]) for key in PASSWORDS if key in variables and variables[key].value not in (None, "")]
    if given:
        account["password"] = _password(name, *given[-1])
    return account


def _truth(name: str, variable: Variable) -> bool:
    word = str(variable.value).lower() if isinstance(variable.value, bool | int | str) else "?"
    if word not in (*TRUE, *FALSE):
        raise _unread(name, "ansible_become", variable, "become: true")
    return word in TRUE


def _password(name: str, key: str, variable: Variable) -> Secret:
    """Return the secret for a password that Ansible looks up in an environment variable. Raises InventoryError for a
    password that is stored elsewhere.
    """
    match = _ENVIRONMENT.fullmatch(variable.value.strip()) if isinstance(variable.value, str) else None
    if match is None:
        raise _unread(name, key, variable, "become: {password: !env NAME}")
    return Secret(source="env", name=match[3])


def _unread(name: str, key: str, variable: Variable, ours: str) -> InventoryError:
    """Return the error for a variable that Drillbook cannot use. The message never contains the value of a password."""
    secret = key in PASSWORDS
    what = (
        "is encrypted with ansible-vault; Drillbook cannot decrypt it"
        if isinstance(variable.value, Vaulted)
        else f"is an expression{'' if secret else f', {variable.value!r}'}; Drillbook does not evaluate it"
        if isinstance(variable.value, str) and any(mark in variable.value for mark in _EXPRESSION)
        else "is a password in a file; Drillbook does not use such a password"
        if secret
        else f"is not understood: {_said(variable)}"
    )
    return InventoryError(
        f"{key} of host {name!r} {what}",
        where=variable.where,
        hint=f"write the value into the inventory{' as a secret' * secret}: `hosts: {{{name}: {{{ours}}}}}`",
    )


def _said(variable: Variable) -> str:
    return repr(variable.value)[:60] if not isinstance(variable.value, str) else variable.value[:60]
