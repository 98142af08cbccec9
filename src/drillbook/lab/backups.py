"""Sources of backups in the embedded lab: PostgreSQL's archived log, a guestbook in SQLite, and a shop in MariaDB.

The programs come from Debian packages, because there are no Python wheels of them. If a program is missing, the lab's
inventory says so, and drills that need the program are not run.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drillbook.lab.layout import DATABASE, SHOP, Lab, put

ENTRIES = 5_000
"""Number of entries in the guestbook. The shop has the same number of closed orders."""
VISITORS = 200
"""Number of visitors of the guestbook."""
PGBACKREST = """\
[global]
repo1-path={repository}
repo1-retention-full=2
compress-type=lz4
lock-path={home}/pgbackrest/run
log-path={home}/pgbackrest/run
log-level-file=off
log-level-console=warn
start-fast=y

[{stanza}]
pg1-path={data}
pg1-port={port}
pg1-socket-path={home}
pg1-user=postgres
"""
# Before a rehearsal's backup job creates its repository, nothing can be archived, and PostgreSQL does not keep the log.
GUESTBOOK = """
CREATE TABLE visitor (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE entry (id INTEGER PRIMARY KEY, visitor INTEGER NOT NULL REFERENCES visitor, at TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX entry_at ON entry (at);
"""
# The first start creates the data directory under another name, and renames it once it is complete.
SERVE_SHOP = """\
#!/bin/sh
# Serve the shop's MariaDB; its data directory is made at the first start.
set -eu
cd "$(dirname "$0")"
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
if test ! -d data; then
  rm -rf data.new tmp
  mkdir tmp
  mariadb-install-db --no-defaults --datadir="$PWD/data.new" --tmpdir="$PWD/tmp" --auth-root-authentication-method=normal \\
    --skip-test-db --skip-name-resolve --rpm --innodb-log-file-size=8M
  mv data.new data
fi
exec mariadbd --no-defaults --datadir="$PWD/data" --tmpdir="$PWD/tmp" --socket="$PWD/shop.sock" --pid-file="$PWD/shop.pid" \\
  --init-file="$PWD/init.sql" --skip-networking --skip-name-resolve --skip-log-bin --innodb-log-file-size=8M \\
  --innodb-buffer-pool-size=32M --event-scheduler=ON
"""
# Customers place an order every second. Orders made before the first start are closed, and never change.
SHOP_CONTENT = """\
CREATE DATABASE IF NOT EXISTS shop CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS shop@localhost IDENTIFIED BY '{password}';
GRANT ALL PRIVILEGES ON *.* TO shop@localhost;
CREATE TABLE IF NOT EXISTS shop.customer (id INT PRIMARY KEY, name VARCHAR(80) NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS shop.purchase (id BIGINT AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL, cents INT NOT NULL, \
placed_at DATETIME(3) NOT NULL, INDEX (placed_at), FOREIGN KEY (customer) REFERENCES shop.customer (id));
CREATE OR REPLACE DEFINER = shop@localhost VIEW shop.turnover AS SELECT customer, SUM(cents) AS cents FROM shop.purchase \
GROUP BY customer;
INSERT IGNORE INTO shop.customer SELECT seq, CONCAT('Customer ', seq) FROM shop.seq_1_to_200;
INSERT IGNORE INTO shop.purchase SELECT seq, 1 + seq % 200, 100 + seq * 7919 % 20000, \
UTC_TIMESTAMP(3) - INTERVAL {count} - seq SECOND FROM shop.seq_1_to_{count};
CREATE DEFINER = shop@localhost EVENT IF NOT EXISTS shop.customers ON SCHEDULE EVERY 1 SECOND DO \
INSERT INTO shop.purchase (customer, cents, placed_at) \
VALUES (1 + FLOOR(RAND() * 200), 100 + FLOOR(RAND() * 20000), UTC_TIMESTAMP(3));
"""


def archiving(lab: Lab, host: str) -> str:
    """Return the settings that make PostgreSQL on db-1 archive its log.

    The result is empty for other hosts, and when pgBackRest is not installed.
    """
    known = lab.values()
    if host != "db-1" or known["missing.pgbackrest"]:
        return ""
    made = f"{known['pgbackrest.repository']}/archive/{known['pgbackrest.stanza']}/archive.info"
    push = f'pgbackrest --config="{known["pgbackrest.config"]}" --stanza={known["pgbackrest.stanza"]} archive-push "%p"'
    return f"archive_mode = on\narchive_command = 'test ! -e \"{made}\" || {push}'\n"


def configure_database(lab: Lab) -> None:
    """Write the settings of pgBackRest and of the shop on db-1."""
    home = lab.home("db-1")
    tool, shop = home / "pgbackrest", home / SHOP
    for folder in (tool, shop):
        folder.mkdir(mode=0o700, exist_ok=True)
    put(
        tool / "pgbackrest.conf",
        PGBACKREST.format(
            repository=lab.values()["pgbackrest.repository"],
            home=home,
            data=lab.data_directory("db-1"),
            stanza=DATABASE,
            port=lab.port("postgres.db-1"),
        ),
    )
    put(tool / "pgbackrest.pass", f"*:*:*:postgres:{lab.secret('pg_admin')}\n")
    put(shop / "serve.sh", SERVE_SHOP, 0o700)
    put(shop / "init.sql", SHOP_CONTENT.format(password=lab.secret("shop"), count=ENTRIES))


def make_guestbook(folder: Path) -> None:
    """Create the guestbook, a SQLite database with sample entries, unless a previous start created it."""
    folder.mkdir(mode=0o755, exist_ok=True)
    path = folder / "guestbook.db"
    if path.exists():
        return
    with closing(sqlite3.connect(path)) as book:
        book.executescript(GUESTBOOK)
        numbers, now = range(1, ENTRIES + 1), datetime.now(UTC)
        book.executemany("INSERT INTO visitor VALUES (?, ?)", [(n, f"visitor {n}") for n in numbers[:VISITORS]])
        times = {n: (now - timedelta(seconds=ENTRIES - n)).isoformat(timespec="seconds") for n in numbers}
        entries = [(n, 1 + n % VISITORS, times[n], f"Entry {n} of the guestbook.") for n in numbers]
        book.executemany("INSERT INTO entry VALUES (?, ?, ?, ?)", entries)
        book.commit()
