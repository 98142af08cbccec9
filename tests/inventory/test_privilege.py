"""The variables of Ansible about privilege, as the key `become` of a host."""

import pytest

from drillbook.errors import InventoryError
from drillbook.values import Secret
from tests.inventory.loading import loaded


@pytest.mark.parametrize(
    ("variables", "user"),
    [
        ("ansible_become=true", "root"),
        ("ansible_become=yes ansible_become_user=postgres ansible_become_method=sudo", "postgres"),
        ("ansible_become=1 ansible_become_method=ansible.builtin.sudo", "root"),
        ("ansible_become=false ansible_become_method=su ansible_become_password=x", None),
        ("ansible_become_user=postgres", None),
    ],
)
def test_the_account_of_ansible_becomes_ours(tmp_path, variables, user):
    become = loaded(tmp_path, f"h {variables}").hosts["h"].become
    assert (become and become.user) == user
    assert loaded(tmp_path, f"h {variables}", "hosts: {h: {become: app}}\n").hosts["h"].become.user == "app"


def test_a_password_in_the_environment_is_a_secret(tmp_path):
    text = "h ansible_become=true ansible_become_password=\"{{ lookup('env', 'SUDO_PASSWORD') }}\""
    assert loaded(tmp_path, text).hosts["h"].become.password == Secret(source="env", name="SUDO_PASSWORD")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ("ansible_become_method=su", "has ansible_become_method=su, but Drillbook changes the account only by sudo"),
        ("ansible_become_method=doas", "has ansible_become_method=doas"),
        ("ansible_become_password=hunter2", "ansible_become_password of host 'h' is a password in a file"),
        ("ansible_become_pass='{{ vault_sudo }}'", "ansible_become_pass of host 'h' is an expression"),
        ("ansible_become_user='{{ who }}'", "ansible_become_user of host 'h' is an expression, '{{ who }}'"),
    ],
)
def test_privilege_that_is_not_read_is_an_error_without_the_password(tmp_path, variables, message):
    with pytest.raises(InventoryError) as caught:
        loaded(tmp_path, f"h ansible_become=true {variables}")
    assert message in caught.value.message
    assert caught.value.where.line == 1
    assert "hunter2" not in str(caught.value) + caught.value.hint + caught.value.excerpt
    assert "vault_sudo" not in str(caught.value) + caught.value.hint


def test_a_password_in_a_vault_is_told_with_the_way_out(tmp_path):
    text = "all:\n  hosts:\n    h:\n      ansible_become: true\n      ansible_become_password: !vault |\n        $ANSIBLE_VAULT;1.1;AES256\n"
    with pytest.raises(
        InventoryError, match="ansible_become_password of host 'h' is encrypted with ansible-vault"
    ) as caught:
        loaded(tmp_path, text, name="hosts.yml")
    assert "`hosts: {h: {become: {password: !env NAME}}}`" in caught.value.hint
    ours = "hosts: {h: {become: {password: !env SUDO_PASSWORD}}}\n"
    assert loaded(tmp_path, text, ours, name="hosts.yml").hosts["h"].become.password.name == "SUDO_PASSWORD"


def test_a_truth_that_is_none_is_an_error(tmp_path):
    with pytest.raises(InventoryError, match="ansible_become of host 'h' is not understood: perhaps"):
        loaded(tmp_path, "h ansible_become=perhaps")
