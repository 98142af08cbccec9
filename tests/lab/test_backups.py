"""Sources of backups in the embedded lab."""

import sqlite3
from contextlib import closing

from drillbook.lab import backups
from drillbook.lab.layout import Lab


def test_the_guestbook_is_made_once_with_entries_of_known_visitors(tmp_path):
    folder = tmp_path / "guestbook"
    backups.make_guestbook(folder)
    with closing(sqlite3.connect(folder / "guestbook.db")) as book:
        count, newest, lost = book.execute(
            "SELECT count(*), max(at), sum(visitor NOT IN (SELECT id FROM visitor)) FROM entry"
        ).fetchone()
        assert (count, lost) == (backups.ENTRIES, 0)
        assert newest == book.execute("SELECT at FROM entry ORDER BY id DESC LIMIT 1").fetchone()[0]
        book.execute("DELETE FROM entry WHERE id > 10")
        book.commit()
    backups.make_guestbook(folder)
    with closing(sqlite3.connect(folder / "guestbook.db")) as book:
        assert book.execute("SELECT count(*) FROM entry").fetchone() == (10,), "what a drill changed stays changed"


def test_only_the_database_of_production_archives_its_log(lab):
    assert backups.archiving(lab, "db-2") == ""
    asked = backups.archiving(lab, "db-1")
    assert bool(asked) is not bool(lab.values()["missing.pgbackrest"])
    if asked:
        assert asked.startswith("archive_mode = on\narchive_command = 'test ! -e ")


def test_the_files_of_the_backup_jobs_are_private_and_name_the_labs_own_places(tmp_path):
    lab = Lab.preferred(tmp_path)
    (tmp_path / "secrets").mkdir()
    for name in ("pg_admin", "shop"):
        (tmp_path / "secrets" / name).write_text(f"the-{name}")
    lab.home("db-1").mkdir()
    backups.configure_database(lab)
    backups.configure_database(lab)
    tool, shop = lab.home("db-1") / "pgbackrest", lab.home("db-1") / "shop"
    assert (
        f"pg1-path={lab.data_directory('db-1')}\npg1-port={lab.port('postgres.db-1')}\n"
        in (tool / "pgbackrest.conf").read_text()
    )
    assert (tool / "pgbackrest.pass").read_text() == "*:*:*:postgres:the-pg_admin\n"
    assert "IDENTIFIED BY 'the-shop'" in (shop / "init.sql").read_text()
    files = [*tool.iterdir(), *shop.iterdir()]
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in files} == {
        "pgbackrest.conf": "0o600",
        "pgbackrest.pass": "0o600",
        "init.sql": "0o600",
        "serve.sh": "0o700",
    }
