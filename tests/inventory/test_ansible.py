"""The key `ansible` of an inventory: its files, its selection of hosts, and encrypted files."""

import shutil

import pytest

from drillbook.errors import InventoryError
from drillbook.inventory import inventory
from tests.inventory.loading import loaded


def test_a_vaulted_file_is_an_error_unless_it_is_left_out_on_purpose(tmp_path):
    (tmp_path / "group_vars" / "all").mkdir(parents=True)
    (tmp_path / "group_vars" / "all" / "vault.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n3338\n")
    with pytest.raises(InventoryError, match=r"vault.yml is encrypted with ansible-vault"):
        loaded(tmp_path, "h\n")
    path = tmp_path / "staging.yml"
    path.write_text("environment: staging\nansible: {files: hosts, vault: ignore}\n")
    assert list(inventory.load(path).hosts) == ["h"]


def test_limit_leaves_hosts_out(tmp_path):
    (tmp_path / "hosts").write_text("[win]\nw ansible_connection=winrm\n[lin]\nl\n")
    path = tmp_path / "staging.yml"
    path.write_text("environment: staging\nansible: {files: [hosts], limit: 'all:!win'}\n")
    found = inventory.load(path)
    assert list(found.hosts) == ["l"]
    assert found.groups == {"win": (), "lin": ("l",)}


def test_a_program_is_not_run(tmp_path):
    program = tmp_path / "hosts"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    (tmp_path / "staging.yml").write_text("environment: staging\nansible: hosts\n")
    with pytest.raises(InventoryError, match="is a program that prints an inventory"):
        inventory.load(tmp_path / "staging.yml")
    assert not (tmp_path / "ran").exists()
    assert shutil.which("sh")
