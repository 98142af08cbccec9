"""Metadata of physical backups: their type and their place in a chain, and backups that did not end."""

import subprocess

import pytest

from drillbook.systems.mariadb import copied_files

CHECKPOINTS = "backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 1000\nlast_lsn = 1016\n"
INFO = "uuid = 1\nserver_version = 11.8.3-MariaDB\nend_time = 2026-11-28 01:02:03\npartial = N\n"


@pytest.fixture
def backup(tmp_path):
    """Backup of the folder `full` with other content in its files."""

    def made(checkpoints=CHECKPOINTS, info=INFO, tables=("shop/orders",), prefix="mariadb_backup"):
        folder = tmp_path / "full"
        folder.mkdir()
        (folder / "ibdata1").touch()
        for kind, text in (("checkpoints", checkpoints), ("info", info)):
            if text:
                (folder / f"{prefix}_{kind}").write_text(text)
        for table in tables:
            (folder / table).parent.mkdir(exist_ok=True)
            (folder / f"{table}.frm").touch()
        argv = ["sh", "-c", copied_files.LIST, "sh", str(tmp_path)]
        listed = subprocess.run(argv, capture_output=True, text=True, check=True, env={"TZ": "UTC", "PATH": "/usr/bin:/bin"})
        (found,) = copied_files.parsed(listed.stdout)
        return found

    return made


@pytest.mark.parametrize("prefix", ["mariadb_backup", "xtrabackup"])
def test_a_full_backup_tells_its_type_version_end_and_tables(backup, prefix):
    found = backup(prefix=prefix, tables=("shop/orders", "mysql/user", "sys/version"))
    assert (found.path, found.kind, found.prepared, found.base_lsn) == ("full", "full-backuped", False, 0)
    assert (found.ended, found.version) == (1795827723.0, "11.8.3-MariaDB")
    assert found.facts()["names"] == ["shop/orders"]
    assert found.unfinished("full", "db-1") == found.without_tables("full", "db-1") == []


@pytest.mark.parametrize(
    ("files", "measured"),
    [
        ({"checkpoints": ""}, "no mariadb_backup_checkpoints"),
        ({"info": ""}, "no mariadb_backup_info"),
        ({"checkpoints": "to_lsn = 1000\n"}, "none"),
        ({"checkpoints": CHECKPOINTS.replace("1016", "999")}, "a redo log up to the log sequence number 999"),
    ],
)
def test_a_backup_that_did_not_end_is_damaged(backup, files, measured):
    (found,) = backup(**files).unfinished("full", "db-1")
    assert (found.code, found.host, found.measured) == ("backup-damaged", "db-1", measured)
    assert found.title.endswith(": full")


def test_a_backup_without_tables_of_its_own_is_empty(backup):
    (found,) = backup(tables=("mysql/user",)).without_tables("full", "db-1")
    assert found.code == "backup-empty"


def test_an_increment_follows_the_backup_that_ends_at_its_beginning(backup):
    found = backup(CHECKPOINTS.replace("full-backuped", "incremental").replace("from_lsn = 0", "from_lsn = 900"))
    assert found.base_lsn == 900
    assert (found.ends_at(1000), found.ends_at(1016)) == (True, False)


def test_a_backup_without_its_type_is_no_base(backup):
    assert not backup(checkpoints="to_lsn = 1000\n").ends_at(1000)


def test_only_settings_that_open_the_files_are_taken_from_the_backup():
    text = "[mysqld]\ninnodb_page_size=16384\nplugin_load=evil.so\ninnodb_data_file_path=ibdata1:12M:autoextend\n"
    text += "innodb_undo_directory=$(reboot)\ninnodb_log_file_size=9 9\n"
    assert copied_files.settings(text) == {
        "innodb_page_size": "16384",
        "innodb_data_file_path": "ibdata1:12M:autoextend",
    }


@pytest.mark.parametrize(("value", "expected"), [("12", 12), ("", 0), ("-3", 0), ("1e5", 0)])
def test_a_field_that_is_no_number_counts_as_zero(value, expected):
    assert copied_files.number({"to_lsn": value}, "to_lsn") == expected
