"""New tables of a real physical backup whose first page is only in the redo log: verified by innochecksum, damaged, or not verified."""

import random
import re
import shutil
import subprocess

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.systems.mariadb import stored_pages
from drillbook.systems.mariadb.copied_files import CopiedFiles
from tests.needs import need
from tests.systems.mariadb import artefacts, site
from tests.systems.mariadb.artefacts import folders

PAGE = 16384
SHELLS = [["dash"], ["busybox", "sh"], ["bash", "--posix"]]
EVERY, STORED = "the checksum of every page of InnoDB", "the checksum of every stored page of InnoDB"
KEY = "1;" + "a1" * 32


@pytest.fixture(scope="module")
def taken(server, tmp_path_factory):
    """Full backup of a server with tables of several formats."""
    need("innochecksum")
    return artefacts.take(server, tmp_path_factory.mktemp("taken")).folder


def encrypted(root, tables, *options):
    """Full backup of a server with ``tables``, which may be encrypted. All their pages are written before the backup."""
    need("innochecksum")
    (keys := root / "keys").write_text(KEY)
    names = ", ".join(re.findall(r"CREATE TABLE (\w+)", tables))
    content = f"""CREATE DATABASE shop; USE shop; {tables}
    FLUSH TABLES {names} FOR EXPORT; UNLOCK TABLES; SET GLOBAL innodb_log_checkpoint_now = 1;"""
    options = (*options, "--plugin-load-add=file_key_management", f"--file-key-management-filename={keys}")
    (root / "server").mkdir()
    with site.running(root / "server", content, *options) as server:
        server.backup(f"--target-dir={root}/full")
        yield root


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """Full backup of a server that writes pages of the older format, with encrypted and compressed tables."""
    tables = """CREATE TABLE plain(a INT PRIMARY KEY, b CHAR(90)); INSERT INTO plain SELECT seq, md5(seq) FROM seq_1_to_2000;
    CREATE TABLE sealed(a INT PRIMARY KEY, b CHAR(90)) ENCRYPTED=YES; INSERT INTO sealed SELECT * FROM plain;
    CREATE TABLE punched(a INT PRIMARY KEY, b CHAR(90)) PAGE_COMPRESSED=1; INSERT INTO punched SELECT * FROM plain;"""
    yield from encrypted(tmp_path_factory.mktemp("older"), tables, "--innodb-checksum-algorithm=crc32")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """Full backup of a server with an encrypted table of the format full_crc32."""
    tables = """CREATE TABLE sealed(a INT PRIMARY KEY, b CHAR(90)) ENCRYPTED=YES;
    INSERT INTO sealed SELECT seq, md5(seq) FROM seq_1_to_2000;"""
    yield from encrypted(tmp_path_factory.mktemp("sealed"), tables)


def new(folder, table, first=PAGE):
    """A table that was created just before the backup, as mariadb-backup copies it: the server has not yet written its first page."""
    (file,) = [path for path in folder.glob(f"{table}.*") if path.suffix in (".ibd", ".new")]
    file = file.rename(file.with_suffix(".new"))
    file.write_bytes(bytes(first) + file.read_bytes()[first:])
    return file


def knows_flags():
    """Newer versions of innochecksum accept the format as an option."""
    said = subprocess.run([need("innochecksum"), "--help"], capture_output=True, check=False, text=True).stdout
    return "--tablespace-flags" in said


def flip(file, place):
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def read(folder, shell=("sh",)):
    """Return what the script says of the files in a folder, except the first line."""
    done = subprocess.run([*shell, "-c", stored_pages.READ, "sh", folder], capture_output=True, check=True, text=True)
    assert done.stderr == ""
    return [re.sub(r":.*", "", line) for line in done.stdout.splitlines()[1:]]


@pytest.mark.parametrize("table", ["shop/customers", "other/punched", "other/zipped"])
def test_the_stored_pages_of_a_new_table_are_verified_but_not_its_first_page(tmp_path, server, taken, table):
    """innochecksum itself calls such a file corrupt, because it does not know the format of its pages."""
    if table == "other/zipped" and not knows_flags():
        pytest.skip("this innochecksum has no option for the format")
    place = folders(tmp_path, server, taken, "full")
    one = 4096 if table == "other/zipped" else PAGE
    file = new(tmp_path / "backups" / "full", table, one)
    alone = subprocess.run(["innochecksum", file], capture_output=True, check=False, text=True)
    assert alone.returncode == 1
    checked = place.run("backup.check", service="nightly")
    assert STORED in checked["covered"]
    assert EVERY not in checked["covered"]
    assert f"the first page and the length of 1 new tables, such as {table}.new" in "\n".join(checked["not_covered"])
    flip(file, 4 * one + 200)
    assert place.found_by_check() == ["backup-damaged"]


def test_a_changed_bit_at_the_beginning_of_a_page_does_not_excuse_a_new_table(tmp_path, server, taken):
    """In the format full_crc32, these bytes are the version of a key, which is 0 for a table that is not encrypted."""
    place = folders(tmp_path, server, taken, "full")
    flip(new(tmp_path / "backups" / "full", "shop/customers"), PAGE)
    assert place.found_by_check() == ["backup-damaged"]


NOISE = random.Random(7).randbytes(6 * PAGE)


@pytest.mark.parametrize("shell", SHELLS, ids=["dash", "busybox", "bash"])
@pytest.mark.parametrize("empty", [64, 512, 1024, 4096, 8192, PAGE, 2 * PAGE, 4 * PAGE])
def test_random_bytes_behind_zeros_are_damaged(tmp_path, empty, shell):
    need("innochecksum")
    need(shell[0])
    (tmp_path / "garbage.new").write_bytes(bytes(empty) + NOISE[empty:])
    assert read(tmp_path, shell) == ["damaged ./garbage.new"]


def test_random_bytes_in_a_new_table_make_the_check_fail(tmp_path, server, taken):
    place = folders(tmp_path, server, taken, "full")
    (tmp_path / "backups" / "full" / "shop" / "garbage.new").write_bytes(bytes(64) + NOISE[64:])
    assert place.found_by_check() == ["backup-damaged"]


def test_a_new_table_whose_first_page_is_partly_zero_is_damaged(tmp_path, server, taken):
    place = folders(tmp_path, server, taken, "full")
    new(tmp_path / "backups" / "full", "shop/customers", 64)
    assert place.found_by_check() == ["backup-damaged"]


def test_a_new_table_that_is_cut_in_a_page_is_damaged(tmp_path, server, taken):
    place = folders(tmp_path, server, taken, "full")
    file = new(tmp_path / "backups" / "full", "shop/customers")
    file.write_bytes(file.read_bytes()[: 5 * PAGE + 4096])
    assert place.found_by_check() == ["backup-damaged"]


def test_a_prepared_backup_has_no_table_without_its_first_page(tmp_path, server, taken):
    place = folders(tmp_path, server, taken, "full")
    folder = tmp_path / "backups" / "full"
    argv = [need("mariadb-backup"), "--no-defaults", "--prepare", f"--target-dir={folder}", f"--tmpdir={tmp_path}"]
    subprocess.run(argv, capture_output=True, check=True)
    checked = place.run("backup.check", service="nightly")
    assert (checked["type"], EVERY in checked["covered"]) == ("log-applied", True)
    new(folder, "shop/customers")
    assert place.found_by_check() == ["backup-damaged"]


def test_an_older_table_without_its_first_page_is_damaged(tmp_path, server, taken):
    place = folders(tmp_path, server, taken, "full")
    file = new(tmp_path / "backups" / "full", "shop/customers")
    file.rename(file.with_suffix(".ibd"))
    assert place.found_by_check() == ["backup-damaged"]


def test_pages_of_the_older_format_are_verified(tmp_path, server, older):
    if not knows_flags():
        pytest.skip("this innochecksum has no option for the format")
    place = folders(tmp_path, server, older, "full")
    file = new(tmp_path / "backups" / "full", "shop/plain")
    assert STORED in place.run("backup.check", service="nightly")["covered"]
    flip(file, 3 * PAGE + 200)
    assert place.found_by_check() == ["backup-damaged"]


@pytest.mark.parametrize("table", ["sealed", "punched"])
def test_a_format_that_only_the_first_page_tells_is_not_verified(tmp_path, server, older, table):
    """It is neither passed nor damaged."""
    place = folders(tmp_path, server, older, "full")
    assert EVERY in place.run("backup.check", service="nightly")["covered"]
    file = new(tmp_path / "backups" / "full", f"shop/{table}")
    with pytest.raises(CouldNotVerify, match=f"full was not verified: .* 1 new tables, such as shop/{table}.new"):
        place.run("backup.check", service="nightly")
    flip(file, 2 * PAGE + 200)
    with pytest.raises(CouldNotVerify):
        place.run("backup.check", service="nightly")


@pytest.mark.parametrize("table", ["sealed", "punched"])
def test_a_prepared_backup_is_damaged_by_an_empty_first_page_of_every_format(tmp_path, server, older, table):
    """The redo log was applied already, so nothing creates this page any more."""
    place = folders(tmp_path, server, older, "full")
    folder = tmp_path / "backups" / "full"
    new(folder, f"shop/{table}")
    (checkpoints,) = folder.glob("*_checkpoints")
    text = checkpoints.read_text()
    checkpoints.write_text(text.replace("full-backuped", "log-applied"))
    assert checkpoints.read_text() != text
    assert place.found_by_check() == ["backup-damaged"]


def test_encrypted_pages_of_full_crc32_are_verified(tmp_path, server, sealed):
    place = folders(tmp_path, server, sealed, "full")
    file = new(tmp_path / "backups" / "full", "shop/sealed")
    assert file.read_bytes()[PAGE : PAGE + 4] != bytes(4)
    assert STORED in place.run("backup.check", service="nightly")["covered"]
    flip(file, 3 * PAGE + 200)
    assert place.found_by_check() == ["backup-damaged"]


def crc32c(*parts):
    value = 0xFFFFFFFF
    for byte in b"".join(parts):
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def page(form, size, number):
    """Page of an index of a format, with its number and its checksum."""
    data = bytearray(size)
    data[4:8], data[24:26] = number.to_bytes(4, "big"), b"\x45\xbf"
    data[200:232] = b"rows" * 8
    if form == "full":
        data[-4:] = crc32c(data[:-4]).to_bytes(4, "big")
    elif form == "zipped":
        data[:4] = (crc32c(data[4:16]) ^ crc32c(data[24:26]) ^ crc32c(data[34:])).to_bytes(4, "big")
    else:
        data[:4] = data[-8:-4] = (crc32c(data[4:26]) ^ crc32c(data[38:-8])).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize("shell", SHELLS, ids=["dash", "busybox", "bash"])
@pytest.mark.parametrize(
    ("form", "size"),
    [
        *(("full", size) for size in (4096, 8192, 16384, 32768, 65536)),
        *(("older", size) for size in (4096, 8192, 16384, 32768, 65536)),
        *(("zipped", size) for size in (1024, 2048, 4096, 8192, 16384)),
    ],
)
def test_pages_of_every_format_and_size_are_verified_in_small_shells(tmp_path, shell, form, size):
    need("innochecksum")
    need(shell[0])
    (tmp_path / "backup-my.cnf").write_text(f"innodb_page_size={PAGE if form == 'zipped' else size}\n")
    pages = [bytes(size), *(page(form, size, number) for number in (1, 2, 3))]
    (file := tmp_path / "t.new").write_bytes(b"".join(pages))
    known = "unwritten" if form == "full" or knows_flags() else "unread"
    assert read(tmp_path, shell) == [f"{known} ./t.new"]
    file.write_bytes(b"".join(pages[:3]) + bytes(200) + pages[3][200:])
    assert read(tmp_path, shell) == ["damaged ./t.new"]
    file.write_bytes(bytes(size) * 4)
    assert read(tmp_path, shell) == ["unwritten ./t.new"]


def test_an_innochecksum_without_the_option_verifies_full_crc32_alone(tmp_path, taken):
    """As that of MariaDB 10.6; the option is missing in its help, and it refuses it."""
    (tmp_path / "bin").mkdir()
    (program := tmp_path / "bin" / "innochecksum").write_text(
        f"""#!/bin/sh
        case $1 in --help) echo usage; exit ;; --tablespace-flags*) echo unknown variable >&2; exit 1 ;; esac
        exec {need("innochecksum")} "$@"
        """
    )
    program.chmod(0o755)
    script = stored_pages.READ.replace("PATH=$PATH", f"PATH={program.parent}:$PATH", 1)
    shutil.copytree(taken / "full", folder := tmp_path / "full")
    new(folder, "shop/customers")
    file = new(folder, "other/zipped", 4096)
    for expected in ("unread", "damaged"):
        done = subprocess.run(["sh", "-c", script, "sh", folder], capture_output=True, check=True, text=True)
        lines = done.stdout.splitlines()
        assert "unwritten ./shop/customers.new" in lines
        assert [line.partition(" ")[0] for line in lines if "zipped" in line] == [expected]
        flip(file, 4096 + 7)


@pytest.mark.parametrize(
    ("kind", "output", "reason"),
    [
        ("incremental", "pages\n", "the backup is an increment"),
        ("incremental", "no innochecksum\n", "the backup is an increment"),
        ("full-backuped", "no innochecksum\n", "innochecksum is not on the host"),
    ],
)
def test_the_reason_for_pages_that_were_not_verified_is_told(kind, output, reason):
    covered, missed = stored_pages.coverage(CopiedFiles(".", 1, 0.0, checkpoints={"backup_type": kind}), output)
    assert not {EVERY, STORED} & {*covered}
    assert [text for text in missed if reason in text] == [missed[-1]]
