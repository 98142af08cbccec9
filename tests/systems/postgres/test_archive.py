"""Table of contents of an archive of pg_dump, and what of it restores one table."""

from drillbook.systems.postgres.archive import entries, select

LISTED = """\
; Archive created at 2026-03-01
215; 1259 16386 TABLE public orders app
;\tdepends on: 7
216; 1259 16390 SEQUENCE public orders_id app
217; 1259 16395 VIEW public open_orders app
;\tdepends on: 215
218; 1259 16400 TABLE public items app
3401; 0 16386 TABLE DATA public orders app
;\tdepends on: 215
3320; 2606 16389 CONSTRAINT public orders orders_pkey app
;\tdepends on: 215
3321; 2606 16401 FK CONSTRAINT public items items_order app
;\tdepends on: 3320 218
219; 1259 16405 VIEW public joined app
;\tdepends on: 215 218
"""


def selected(table, there=()):
    return select(entries(LISTED, ["app"]), table, lambda name: name in there)


def test_a_relation_is_known_by_its_owner():
    known = {entry.number: (entry.kind, entry.name) for entry in entries(LISTED, ["app"])}
    assert known[215] == ("TABLE", "public orders")
    assert known[216] == ("SEQUENCE", "public orders_id")
    assert known[3401] == ("", "")
    assert {entry.kind for entry in entries(LISTED, ["another"])} == {""}
    (table,) = [entry for entry in entries(LISTED, ["app"]) if entry.number == 3321]
    assert table.needs == {3320, 218}


def test_a_table_comes_back_with_all_that_a_cascade_removes():
    chosen = selected("public orders", there=("public items",))
    assert [line.split(";")[0] for line in chosen.lines] == ["215", "217", "3401", "3320", "3321", "219"]
    assert (chosen.tables, chosen.whole, chosen.kept) == (("public orders",), True, ())
    assert chosen.relations == ("public orders", "public open_orders", "public joined")


def test_what_still_exists_is_kept_and_not_restored():
    chosen = selected("public orders", there=("public items", "public open_orders"))
    assert "217" not in [line.split(";")[0] for line in chosen.lines]
    assert (chosen.kept, chosen.whole) == (("public open_orders",), False)


def test_what_needs_another_lost_table_waits_for_it():
    chosen = selected("public orders")
    numbers = [line.split(";")[0] for line in chosen.lines]
    assert "219" not in numbers
    assert "3321" not in numbers
    assert chosen.whole, "no table is left out"


def test_a_table_that_is_not_in_the_archive_has_no_selection():
    assert selected("public nothing") is None
    assert selected("public orders_id") is None, "a sequence is no table"
