"""Judgement of a dump that was read: one finding for each kind of damage, and none for a whole dump."""

from dataclasses import replace

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.systems.postgres.dump_judgement import MAKE_GLOBALS, Judgement
from drillbook.systems.postgres.dump_reading import Form, Reading

SQL = (
    "-- Dumped from database version 16.4",
    "CREATE DATABASE shop WITH TEMPLATE = template0;",
    "ALTER TABLE a OWNER TO clerk;",
)
WHOLE = Reading(
    sql=SQL, rows={"public.a": 3, "public.b": 0}, tables=2, data=2, inserts=0, objects=0, ended="database", problems=(),
    unpacker=0, pg_restore=0, said="", preamble=("statement_timeout",),
)  # fmt: skip
PLAIN, ARCHIVE = Form("none", "plain", checksum=False), Form("none", "custom", checksum=False)


def judgement(form=PLAIN, database="shop"):
    return Judgement("shop.dump", "db-1", form, database)


def judged(reading, roles=None, absent="", **of):
    return judgement(**of).of(reading, "none", roles, absent)


def found(checked):
    return [(one.code, one.measured) for one in checked.findings]


def test_a_whole_dump_has_no_finding_and_its_numbers_are_facts():
    checked = judged(WHOLE)
    assert found(checked) == []
    facts = checked.facts
    assert (facts["rows"], facts["tables"], facts["databases"], facts["roles"]) == (3, 2, ["shop"], ["clerk"])
    assert (facts["server_version"], facts["preamble"]) == ("16.4", ["statement_timeout"])
    assert judged(WHOLE, form=ARCHIVE).facts["preamble"] == [], "pg_restore wrote it, and not the dump"


@pytest.mark.parametrize(
    ("change", "code", "measured"),
    [
        ({"unpacker": 1, "said": "gzip: unexpected end of file"}, "backup-damaged", "gzip: unexpected end of file"),
        ({"unpacker": 2}, "backup-damaged", "status 2 of the unpacker"),
        ({"pg_restore": 1}, "backup-damaged", "status 1 of the pg_restore"),
        ({"sql": ()}, "backup-damaged", "the file does not begin like a dump"),
        ({"problems": ("row 2 of a has 1 of 3 columns",)}, "backup-damaged", "row 2 of a has 1 of 3 columns"),
        ({"ended": "none"}, "backup-damaged", "no such line"),
        ({"rows": {}}, "backup-empty", "2 tables, none of them with a row"),
        ({"rows": {}, "data": 0}, "backup-empty", "only the definitions of 2 tables: the dump was taken with --schema-only"),
        ({"rows": {}, "data": 0, "tables": 0}, "backup-empty", "no table"),
        ({"tables": 0}, "backup-incomplete", "only rows: the dump was taken with --data-only"),
    ],
)
def test_each_damage_is_one_finding(change, code, measured):
    assert found(judged(replace(WHOLE, **change))) == [(code, measured)]


def test_a_file_that_the_contents_name_is_missing():
    said = 'pg_restore: error: could not open input file "3342.dat.gz": No such file or directory'
    assert found(judged(replace(WHOLE, pg_restore=1, said=said), form=ARCHIVE)) == [("backup-missing", said)]


@pytest.mark.parametrize(
    "said", ["pg_restore: error: unsupported version (1.16) in file header", "sh: pg_restore: not found"]
)
def test_a_program_that_cannot_read_the_dump_is_no_damage_of_the_dump(said):
    with pytest.raises(CouldNotVerify, match="pg_restore cannot read the dump") as told:
        judged(replace(WHOLE, pg_restore=1, said=said), form=ARCHIVE)
    assert "set `bin` to the folder" in told.value.hint


def test_rows_in_other_forms_are_rows():
    assert found(judged(replace(WHOLE, rows={}, inserts=4))) == []
    assert found(judged(replace(WHOLE, rows={}, objects=1))) == []


def test_a_dump_of_another_database_is_told_only_when_both_names_are_known():
    [(code, measured)] = found(judged(WHOLE, database="billing"))
    assert (code, measured) == ("backup-of-another", "shop")
    assert found(judged(WHOLE, database="")) == []
    assert found(judged(replace(WHOLE, sql=SQL[:1]), database="billing")) == []


def test_roles_must_come_from_the_file_of_roles_where_one_is_declared():
    assert found(judged(WHOLE, roles=("clerk",))) == []
    assert found(judged(WHOLE, roles=())) == [("backup-incomplete", "roles that the file of roles does not create: clerk")]
    [one] = judged(WHOLE, roles=(), absent="no file of roles").findings
    assert (one.measured, one.remedy) == ("no file of roles", MAKE_GLOBALS)


def test_rows_that_row_security_hid_are_a_finding():
    [(code, measured)] = found(judged(replace(WHOLE, sql=(*SQL, "SET row_security = on;"))))
    assert code == "backup-incomplete"
    assert "row security" in measured


def test_it_tells_what_it_did_not_cover():
    texts = " ".join(judged(WHOLE).not_covered)
    assert "contains no checksum" in texts
    assert "roles, their passwords" in texts
    assert "does not name a database" not in texts
    sealed = judgement(Form("bzip2", "plain", checksum=True)).of(replace(WHOLE, sql=SQL[:1]), "bzip2", ("clerk",))
    texts = " ".join(sealed.not_covered)
    assert "checksum" not in texts
    assert "roles, their passwords" not in texts
    assert "does not name a database" in texts


@pytest.mark.parametrize(("form", "code"), [("empty", "backup-empty"), ("unfinished", "backup-damaged")])
def test_a_file_without_content_and_a_folder_without_contents_are_told_apart(form, code):
    checked = judgement(Form("none", form, checksum=False)).without_content()
    assert [one.code for one in checked.findings] == [code]
