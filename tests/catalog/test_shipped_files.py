"""Shipped files: found in the checkout, or in the package of a wheel, and a damaged installation says so."""

import pytest

from drillbook.catalog import shipped_files
from drillbook.errors import UsageError


def test_the_files_below_a_folder_are_in_alphabetical_order():
    found = list(shipped_files.below("drills/diagnosis"))
    assert found == sorted(found)
    assert "drills/diagnosis/postgres.yml" in found
    assert shipped_files.text(shipped_files.RULES).startswith(("#", "groups:"))


def installed(tmp_path, monkeypatch, *folders):
    package = tmp_path / "lib" / "drillbook" / "catalog"
    for folder in folders:
        (package / folder / "drills").mkdir(parents=True)
        (package / folder / "lab").mkdir()
        (package / folder / "lab" / "Dockerfile").write_text("")
    package.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(shipped_files, "__file__", str(package / "shipped_files.py"))
    return package


def test_the_copy_in_the_package_is_used_where_there_is_one(tmp_path, monkeypatch):
    package = installed(tmp_path, monkeypatch, shipped_files.COPIED)
    assert shipped_files.root() == package / shipped_files.COPIED


def test_an_installation_without_them_is_damaged(tmp_path, monkeypatch):
    installed(tmp_path, monkeypatch)
    with pytest.raises(UsageError, match="the shipped files are missing") as told:
        shipped_files.root()
    assert told.value.hint == "install Drillbook again"
