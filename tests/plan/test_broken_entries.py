"""Entries with mistakes: what is known of them nevertheless, so that no other mistake follows from theirs."""

import pytest

from drillbook.errors import SpecError
from drillbook.inventory import inventory
from drillbook.plan import planner, spec
from drillbook.plan.broken_entries import Unread, names_in
from tests.plan.test_planner import made
from tests.plan.test_planner_cases import drill

WORDS = ("save", "when", "expect")


def unread(item):
    return Unread.of(item, ("backup", 0), WORDS)


def test_the_keywords_of_an_entry_are_known_and_the_unknown_keys_are_kept_apart():
    entry = unread({"command.rnu": {}, "when": "1 > 2", "savve": "said", "expect": ["a", "b"]})
    assert entry.words == {"when": "1 > 2", "expect": ["a", "b"]}
    assert entry.odd == {"savve": "said"}, "the name of an action is no odd key"
    assert (entry.texts("when"), entry.texts("expect"), entry.texts("save")) == (("1 > 2",), ("a", "b"), ())


@pytest.mark.parametrize(
    ("item", "saves", "may"),
    [
        ({"save": "said"}, "said", set()),
        ({"savve": "said"}, "said", {"said"}),
        ({"keep": "said"}, "", {"said"}),
        ({"save": 7}, "", set()),
        ("text", "", set()),
    ],
)
def test_the_name_of_a_result_is_found_below_a_misspelt_key_too(item, saves, may):
    assert (unread(item).saves, unread(item).may_save) == (saves, may)


def test_names_of_other_steps_are_left_out():
    entries = [unread({"save": "one"}), unread({"save": "two", "keep": "three", "note": "one"})]
    assert names_in(entries, ["one"]) == ({"two"}, {"three"})


def test_a_step_that_uses_the_result_of_a_broken_one_is_not_reported(tmp_path):
    text = drill(
        backup="  - command.run: {argv: [look], efect: read}\n    hosts: db-1\n    save: said\n"
        '  - command.run: {argv: [look, "{{ said.stdout }}", "{{ nothing.stdout }}"], effect: read}\n    hosts: db-1\n'
    )
    made(tmp_path)  # writes the inventory
    (tmp_path / "sample.yml").write_text(text)
    with pytest.raises(SpecError, match="unknown key 'efect'") as told:
        spec.load(tmp_path / "sample.yml")
    found = planner.mistakes_of(told.value.read, inventory.load(tmp_path / "hosts.yml"))
    assert [error.message for error in found] == ["no step saves the name 'nothing'"], "'said' is saved by the broken step"
