"""Dumps as SQL, read on a host: their form by their first bytes, their rows, and where they end."""

import bz2
import gzip
import lzma

import pytest

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Deadline, Target
from drillbook.systems.postgres.dump_reading import Form, form_of, is_damage, no_unpacker, outline, preamble, read

HOST = LocalHost("db-1", target=Target(name="db-1", local=True))
PLAIN = Form("none", "plain", checksum=False)
PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}
DUMP = r"""--
-- PostgreSQL database dump
--

\restrict key

-- Dumped from database version 16.4

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Name: words; Type: TABLE; Schema: public; Owner: clerk
--

CREATE TABLE public.words (
    word text,
    n integer
);

ALTER TABLE public.words OWNER TO clerk;
CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;

--
-- Data for Name: words; Type: TABLE DATA; Schema: public; Owner: clerk
--

COPY public.words (word, n) FROM stdin;
one	1
two\nlines	2
-- PostgreSQL database dump complete	3
\.

SET later = 1;

--
-- PostgreSQL database dump complete
--
"""


def deadline():
    return Deadline.after(60)


def laid(folder, text, name="shop.sql"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def reading(folder, text, form=PLAIN):
    return read(HOST, laid(folder, text), form, "pg_restore", deadline())


@pytest.mark.parametrize("packed", PACKERS)
def test_the_form_is_told_by_the_content(tmp_path, packed):
    path = laid(tmp_path, PACKERS[packed](DUMP.encode()), "any.name")
    form = form_of(HOST, path, deadline())
    assert (form.packed, form.format, form.checksum, form.mode) == (packed, "plain", True, "plain")
    assert read(HOST, path, form, "pg_restore", deadline()).rows == {"public.words": 3}


def test_archives_files_without_content_and_folders_are_told_apart(tmp_path):
    (tmp_path / "folder").mkdir()
    forms = {
        "plain": laid(tmp_path, DUMP),
        "custom": laid(tmp_path, b"PGDMP" + bytes(100), "a"),
        "empty": laid(tmp_path, b"", "b"),
        "unfinished": str(tmp_path / "folder"),
    }
    assert {name: form_of(HOST, path, deadline()).format for name, path in forms.items()} == {name: name for name in forms}
    (tmp_path / "folder" / "toc.dat").write_bytes(b"PGDMP")
    form = form_of(HOST, forms["unfinished"], deadline())
    assert (form.format, form.mode, form.archive) == ("directory", "path", True)


def test_rows_are_counted_and_texts_in_rows_mislead_nobody(tmp_path):
    whole = reading(tmp_path, DUMP)
    assert (whole.rows, whole.tables, whole.data) == ({"public.words": 3}, 1, 1)
    assert (whole.ended, whole.problems, whole.unpacker) == ("database", (), 0)
    assert "ALTER TABLE public.words OWNER TO clerk;" in whole.sql
    assert whole.preamble == ("restrict", "statement_timeout", "client_encoding"), "`later` is no setting of the beginning"


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda text: text[: text.index("\\.")], "the rows of public.words do not end"),
        (lambda text: text.replace("one\t1", "one"), "row 1 of public.words has 1 of 2 columns"),
    ],
)
def test_rows_that_are_cut_are_a_problem_with_the_name_of_their_table(tmp_path, damage, problem):
    assert reading(tmp_path, damage(DUMP)).problems == (problem,)


def test_a_table_without_an_entry_of_rows_is_named(tmp_path):
    entry = DUMP[DUMP.index("--\n-- Data for Name") : DUMP.index("SET later")]
    assert reading(tmp_path, DUMP).without_data == ()
    assert reading(tmp_path, DUMP.replace(entry, "")).without_data == ("public.words",)
    emptied = DUMP.replace("one\t1\ntwo\\nlines\t2\n-- PostgreSQL database dump complete\t3\n", "")
    assert reading(tmp_path, emptied).without_data == (), "an empty table has an entry without a row"
    inserts = DUMP.replace(entry, entry[: entry.index("COPY")] + "INSERT INTO public.words VALUES ('one', 1);\n")
    assert reading(tmp_path, inserts).without_data == ()


@pytest.mark.parametrize(
    ("old", "new", "unlogged"),
    [
        (");\n\nALTER TABLE", ")\nPARTITION BY RANGE (n);\n\nALTER TABLE", ()),
        ("Type: TABLE; ", "Type: FOREIGN TABLE; ", ()),
        ("CREATE TABLE", "CREATE VIEW", ()),
        ("CREATE TABLE", "CREATE UNLOGGED TABLE", ("public.words",)),
        ("version 16.4\n", "version 16.4\n-- Dumped by pg_dump version 9.6.24\n", ()),
    ],
)
def test_a_table_that_never_has_rows_in_a_dump_is_not_named(tmp_path, old, new, unlogged):
    entry = DUMP[DUMP.index("--\n-- Data for Name") : DUMP.index("SET later")]
    text = DUMP.replace(entry, "")
    assert old in text
    found = reading(tmp_path, text.replace(old, new))
    assert (found.without_data, found.unlogged) == ((), unlogged)


def test_a_dump_without_its_last_line_did_not_end(tmp_path):
    cut = DUMP[: DUMP.rindex("--\n-- PostgreSQL database dump complete")]
    assert reading(tmp_path, cut).ended == "none"


def test_a_compressed_file_that_is_cut_has_the_status_of_its_unpacker(tmp_path):
    data = gzip.compress(DUMP.encode() * 50)
    cut = reading(tmp_path, data[: len(data) // 2], Form("gzip", "plain", checksum=True))
    assert cut.unpacker != 0
    assert "unexpected end of file" in cut.said


def test_a_host_without_the_program_gives_no_reading(tmp_path):
    bare = LocalHost("db-1", target=Target(name="db-1", local=True))
    real = bare.run

    def run(argv, **options):
        if options.get("sink") is not None:
            options.pop("sink")  # as when awk is killed: it prints nothing
            return real(("true",), **options)
        return real(argv, **options)

    bare.run = run
    with pytest.raises(CouldNotVerify, match="the dump was not read to its end: awk gave no answer"):
        read(bare, laid(tmp_path, DUMP), PLAIN, "pg_restore", deadline())
    told = no_unpacker(HOST, "zstd", "shop.sql.zst")
    assert isinstance(told, NotReady)
    assert (told.message, told.hint) == ("db-1 has no zstd, which the dump shop.sql.zst needs", "install zstd on that host")


def test_the_beginning_alone_tells_the_settings():
    assert preamble(HOST, DUMP[: DUMP.index("_encoding")].encode(), deadline()) == ("restrict", "statement_timeout")
    assert preamble(HOST, b"PGDMP\x01\x0e", deadline()) == ()


def test_the_outline_has_only_the_lines_that_a_server_needs_before(tmp_path):
    lines = outline(HOST, laid(tmp_path, DUMP), PLAIN, "pg_restore", deadline())
    assert lines == (
        "-- Dumped from database version 16.4",
        "SET client_encoding = 'UTF8';",
        "ALTER TABLE public.words OWNER TO clerk;",
        "CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;",
    )


@pytest.mark.parametrize(
    ("said", "damage"),
    [
        ("pg_restore: error: could not read from input file: Success", True),
        ("pg_restore: error: could not uncompress data: (null)", True),
        ("pg_restore: error: found unexpected block ID: end of file", True),
        ("pg_restore: error: corrupt tar header found in shop.tar", True),
        ("pg_restore: error: invalid line in the list of files", True),
        ("pg_restore: error: shop.dump is not a valid archive", True),
        ("pg_restore: error: input file is too short (read 3, expected 5)", True),
        ('pg_restore: error: connection to server failed: FATAL:  role "x" does not exist', False),
    ],
)
def test_errors_of_pg_restore_that_mean_damage(said, damage):
    assert is_damage(said) is damage
