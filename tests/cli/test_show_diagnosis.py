"""Result of a diagnosis on the terminal: whom to call, and what the result does not rest on."""

import io

import pytest
from rich.console import Console

from drillbook.cli import show_diagnosis
from drillbook.diagnosis.run import Book
from drillbook.inventory.inventory import Contact
from tests.diagnosis.test_trees import DEAD, TREE, Site
from tests.diagnosis.test_trees import site as site


def told(found, inventory, *, verbose=False):
    out = io.StringIO()
    show_diagnosis.show(found, inventory, Console(file=out, width=200, color_system=None), verbose=verbose)
    return out.getvalue()


@pytest.mark.parametrize(("call", "shown"), [("", ["oncall: on duty", "dba: DBA"]), ("dba, nobody", ["call: dba: DBA"])])
def test_contacts_of_the_remedy_come_instead_of_all(tmp_path, call, shown):
    made = Site(tmp_path, TREE.replace("remedy: {text: start it,", f"remedy: {{text: start it, contacts: [{call}],"))
    contacts = {"oncall": Contact(role="on duty"), "dba": Contact(role="DBA")}
    made.inventory = made.inventory.model_copy(update={"contacts": contacts})
    made.book = Book(made.book.trees, made.inventory)
    made.unit("app", DEAD)
    found = made.look("api")
    assert found.ranked[0].contacts == (("dba",) if call else ()), "whom the inventory does not have is left out"
    lines = [one.strip() for one in told(found, made.inventory).splitlines()]
    assert [one for one in lines if one in ("oncall: on duty", "dba: DBA", "call: dba: DBA")] == shown


def test_healthy_names_what_it_does_not_rest_on(site, tmp_path):
    found = site.look("api")
    said = told(found, site.inventory)
    assert "every check ran" not in said
    assert "skipped, not needed: 1 check; --verbose names them" in said
    assert "memory of api" not in said
    assert "skipped, not needed: memory of api" in told(found, site.inventory, verbose=True)
    without = Site(
        tmp_path,
        TREE.replace('  memory: {host.memory: {service: "{{ service.name }}"}, when: not unit.ok}\n', "")
        .replace("memory.used_percent > 90", "unit.ok is none")
        .replace("{{ memory.used_percent }}", "")
        .replace("{{ memory.nothing }}", ""),
    )
    assert "every check ran, and none" in told(without.look("api"), without.inventory)
