"""Real MariaDB server for tests, with a private data directory and a Unix socket, and databases with every feature."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drillbook.sdk.sandbox import Sandbox
from tests.needs import need
from tests.systems.estate import Estate

AS_ROOT = ["--user=root"] if os.geteuid() == 0 else []
PASSWORD = r"""p#w"'\n b"""
RICH = r"""
CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci; USE shop;
CREATE TABLE customers(
  id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80) NOT NULL, note TEXT, born DATE, seen TIMESTAMP NULL, amount DECIMAL(12,3),
  ratio DOUBLE, few FLOAT, flags BIT(5), kind ENUM('a','b'), tags SET('x','y'), doc JSON, raw BLOB, KEY(name));
INSERT INTO customers VALUES
  (1,'Ünï-日本','line1\nline2\t\\','2020-02-29','2026-11-28 01:02:03',1.500,0.1,1.25,b'10101','a','x,y','{"a": 1}',x'00ff0a0d27'),
  (2,'NULL',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO customers(name,note) SELECT concat('c',seq), md5(seq) FROM seq_1_to_3000;
CREATE TABLE orders(
  id INT PRIMARY KEY, customer BIGINT, total INT, twice INT AS (total*2) VIRTUAL, more INT AS (total+1) PERSISTENT,
  FOREIGN KEY(customer) REFERENCES customers(id), CHECK (total>=0));
INSERT INTO orders(id,customer,total) SELECT seq, 1+seq%100, seq FROM seq_1_to_1000;
CREATE TABLE old(a INT, b VARCHAR(10)) ENGINE=MyISAM; INSERT INTO old VALUES(1,'x'),(1,'x'),(2,NULL);
CREATE TABLE ar(a INT) ENGINE=Aria; INSERT INTO ar VALUES (5);
CREATE TABLE hist(a INT, b INT) WITH SYSTEM VERSIONING; INSERT INTO hist VALUES(1,1); UPDATE hist SET b=2;
CREATE TABLE parted(a INT PRIMARY KEY) PARTITION BY RANGE(a)(PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO parted SELECT seq FROM seq_1_to_30;
CREATE SEQUENCE numbers START 100 INCREMENT 5; SELECT NEXTVAL(numbers);
CREATE TABLE `odd ``name`(`a b` INT, `b``c` VARCHAR(5)); INSERT INTO `odd ``name` VALUES(1,'q');
CREATE TABLE nothing(a INT);
CREATE TABLE geo(g POINT NOT NULL, u UUID, i INET6);
INSERT INTO geo VALUES(POINT(1,2),'123e4567-e89b-12d3-a456-426614174000','::1');
CREATE USER clerk@localhost IDENTIFIED BY 'pw'; GRANT ALL ON shop.* TO clerk@localhost;
CREATE USER reader@localhost IDENTIFIED BY 'pw';
GRANT SELECT, SHOW VIEW, LOCK TABLES, EXECUTE ON shop.* TO reader@localhost;
CREATE DEFINER=clerk@localhost VIEW big AS SELECT id,name FROM customers WHERE id>10;
CREATE TRIGGER tr BEFORE INSERT ON orders FOR EACH ROW SET NEW.total=IFNULL(NEW.total,0);
DELIMITER //
CREATE PROCEDURE pr() BEGIN
-- Dumping data for table `nobody`
SELECT 1; END//
CREATE FUNCTION fn(a INT) RETURNS INT DETERMINISTIC RETURN a+1//
DELIMITER ;
CREATE EVENT ev ON SCHEDULE EVERY 1 DAY DO SET @a=1;
CREATE DATABASE other; CREATE TABLE other.t(a INT PRIMARY KEY); INSERT INTO other.t VALUES(1);
CREATE TABLE other.zipped(a INT PRIMARY KEY, b CHAR(32)) ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4;
INSERT INTO other.zipped SELECT seq, md5(seq) FROM seq_1_to_2000;
CREATE TABLE other.punched(a INT, b CHAR(90)) PAGE_COMPRESSED=1; INSERT INTO other.punched SELECT seq, 'x' FROM seq_1_to_2000;
"""


def tool(name: str) -> str:
    return need(name)


@dataclass
class Server:
    """Running server; ``root`` has no password, ``app`` has one with characters that need quoting."""

    folder: Path

    @property
    def socket(self) -> str:
        return str(self.folder / "server.sock")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def login(self, program: str, user: str = "root") -> list[str]:
        return [tool(program), "--no-defaults", f"--socket={self.socket}", f"--user={user}"]

    def sql(self, text: str, database: str = "") -> str:
        words = [*self.login("mariadb"), "--batch", "--skip-column-names", *([database] if database else [])]
        return subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout

    def dump(self, *arguments: str, user: str = "root", check: bool = True) -> bytes:
        words = [*self.login("mariadb-dump", user), *(["-ppw"] if user != "root" else []), *arguments]
        return subprocess.run(words, capture_output=True, check=check).stdout

    def backup(self, *arguments: str) -> bytes:
        """Run mariadb-backup. Return its stream."""
        words = [tool("mariadb-backup"), "--no-defaults", "--backup", f"--socket={self.socket}", "--user=root"]
        done = subprocess.run(
            [*words, f"--datadir={self.data}", f"--tmpdir={self.folder}/tmp", *arguments], capture_output=True, check=True
        )
        assert b"completed OK!" in done.stderr
        return done.stdout


def _alone(server: Server) -> list[str]:
    return ["--no-defaults", f"--datadir={server.data}", f"--tmpdir={server.folder}/tmp"]


def install(server: Server) -> None:
    """Create the data directory."""
    words = [tool("mariadb-install-db"), *_alone(server), "--skip-test-db", "--skip-name-resolve", "--rpm"]
    subprocess.run(
        [*words, "--auth-root-authentication-method=normal", *AS_ROOT], check=True, capture_output=True, timeout=120
    )


def command(server: Server, *more: str) -> list[str]:
    """Command that starts the server on the data directory."""
    options = [
        "--skip-networking",
        f"--socket={server.socket}",
        f"--pid-file={server.folder}/pid",
        "--innodb-log-file-size=8M",
    ]
    return [tool("mariadbd"), *_alone(server), *options, *more, *AS_ROOT]


@contextlib.contextmanager
def running(folder: Path, content: str = RICH, *options: str) -> Iterator[Server]:
    server = Server(folder)
    (folder / "tmp").mkdir()
    install(server)
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command(server, *options), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 60
            while subprocess.run([*server.login("mariadb"), "-e", "DO 1"], capture_output=True, check=False).returncode:
                waits = child.poll() is None and time.monotonic() < until
                assert waits, (folder / "log").read_text()[-2000:]
                time.sleep(0.05)
            server.sql(content)
            quoted = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
            server.sql(f"CREATE USER app@localhost IDENTIFIED BY '{quoted}'; GRANT ALL ON *.* TO app@localhost")
            yield server
        finally:
            child.kill()
            child.wait()
            shutil.rmtree(server.data, ignore_errors=True)


def estate(root: Path, server: Server, source: dict[str, object], **copy: object) -> Estate:
    """The server as `database`, a sandbox `copy`, and one source `nightly`."""
    services = {
        "database": {"kind": "mariadb", "address": server.socket, "user": "root", "database": "shop"},
        "copy": {"kind": "mariadb", "database": "shop", "sandbox": {}, **copy},
    }
    return Estate(root, services=services, backups={"nightly": {"service": "database", **source}})


def on_copy(place: Estate, sql: str | bytes) -> None:
    """Run statements in the restored copy."""
    box = Sandbox.of(place.ctx(), place.inventory.services["copy"])
    words = ("mariadb", "--no-defaults", f"--socket={box.service.socket}", "--user=drillbook", "shop")
    box.run(*words, stdin=sql if isinstance(sql, bytes) else sql.encode()).check()
