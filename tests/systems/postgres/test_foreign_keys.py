"""Foreign keys in the script of a restore: which lines are keys, and how one is added that present rows violate."""

import pytest

from drillbook.systems.postgres.foreign_keys import split, tolerant

TABLE = "215; 1259 16385 TABLE public orders postgres"
ROWS = "3342; 0 16385 TABLE DATA public orders postgres"
KEY = "3190; 2606 16390 FK CONSTRAINT public orders orders_type_id_fkey postgres"
OTHER = "3191; 2606 16391 FK CONSTRAINT public lines lines_order_id_fkey postgres"
ADDED = """\
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_type_id_fkey FOREIGN KEY (type_id) REFERENCES public.types(id);"""


def test_the_list_is_split_before_its_first_key():
    assert split([TABLE, ROWS, KEY, OTHER]) == ([TABLE, ROWS], [KEY, OTHER])
    assert split([KEY]) == ([], [KEY])


def test_a_list_without_a_key_has_nothing_after_it():
    assert split([TABLE, ROWS]) == ([TABLE, ROWS], [])
    named = "3342; 0 16385 TABLE DATA public 1; 2 3 FK CONSTRAINT postgres"
    assert split([named]) == ([named], []), "the name of a table looks like a key"


def test_a_key_is_added_without_a_check_only_after_its_check_failed():
    script = tolerant(ADDED)
    statement = ADDED.removesuffix(";")
    checked, _, unchecked = script.partition("EXCEPTION WHEN foreign_key_violation THEN")
    assert f"EXECUTE $key${statement}$key$;" in checked
    assert "NOT VALID" not in checked
    assert f"EXECUTE $key${statement} NOT VALID$key$;" in unchecked
    assert "$key$orders_type_id_fkey of public.orders$key$" in unchecked


def test_all_keys_of_a_script_are_changed_and_nothing_else():
    index = "CREATE INDEX orders_item ON public.orders USING btree (item);"
    check = "ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT named CHECK ((item <> ''::text));"
    partitioned = ADDED.replace("ONLY ", "").replace("orders", "parts")
    script = tolerant(f"{index}\n\n{ADDED}\n\n{check}\n\n{partitioned}\n")
    assert script.startswith(f"{index}\n\nDO $drillbook$")
    assert f"\n\n{check}\n\n" in script
    assert script.count("DO $drillbook$") == 2
    assert "$key$parts_type_id_fkey of public.parts$key$" in script


@pytest.mark.parametrize("name", ["a$key$b", "a$drillbook$b"])
def test_a_name_that_would_end_the_quotes_leaves_its_statement_as_it_is(name):
    statement = ADDED.replace("orders_type_id_fkey", f'"{name}"')
    assert tolerant(statement) == statement


def test_a_key_that_the_backup_did_not_check_is_left_as_it_is():
    statement = ADDED.replace(";", " NOT VALID;")
    assert tolerant(statement) == statement
