"""Tables whose rows a dump lacks: patterns with reasons, and the texts of the finding."""

from __future__ import annotations

from drillbook.sdk import rows_left_out

ACCEPTED = {"public.log": "older rows are not needed", "audit.*": "kept elsewhere"}


def test_a_table_is_accepted_by_its_name_or_by_a_pattern():
    tables = ["audit.lines", "public.log", "public.logs", "orders"]
    assert rows_left_out.unexpected(tables, ACCEPTED) == ["public.logs", "orders"]
    assert rows_left_out.unexpected(tables, {}) == tables
    assert rows_left_out.not_covered(tables, ACCEPTED) == [
        "the rows of audit.lines, which are not in the dump (kept elsewhere)",
        "the rows of public.log, which are not in the dump (older rows are not needed)",
    ]


def test_a_name_with_signs_of_a_pattern_is_accepted_literally():
    odd = "public.a[1]"
    assert rows_left_out.reason(odd, {odd: "a log"}) == "a log"
    assert rows_left_out.reason("public.a1", {odd: "a log"}) == "a log"


def test_the_finding_names_the_tables_the_option_and_the_field():
    assert rows_left_out.measured(["a.b"]) == "only the definitions of 1 table: a.b"
    assert rows_left_out.measured([f"t.{number}" for number in range(12)]).startswith(
        "only the definitions of 12 tables: t.0, "
    )
    remedy = rows_left_out.remedy("--ignore-table-data", "`backups.nightly.without_data`")
    assert "`--ignore-table-data`" in remedy
    assert remedy.endswith("name the tables and the reason in `backups.nightly.without_data`.")
