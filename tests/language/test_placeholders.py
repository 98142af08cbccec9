"""`${name}` in the requests of a flow: replaced by values of answers, which are not expanded again."""

import pytest

from drillbook.language import placeholders

VALUES = {"id": 7, "name": "a/b c", "on": True, "none": 1.5, "again": "${id}"}
REQUEST = {"url": "/documents/${id}", "body": {"title": "It is ${name}", "tags": ["${on}", 3, ("${none}",)]}, "plain": None}


def test_every_name_is_found_wherever_it_stands():
    assert placeholders.names(REQUEST) == {"id", "name", "on", "none"}
    assert placeholders.names("$id ${Id} ${1} {id} $${id}") == {"id"}
    assert placeholders.names(3) == set()


def test_a_mark_alone_becomes_the_value_and_one_in_a_text_its_text():
    filled = placeholders.fill(REQUEST, VALUES)
    assert filled == {"url": "/documents/7", "body": {"title": "It is a/b c", "tags": [True, 3, [1.5]]}, "plain": None}
    assert placeholders.text("${on} and ${id}", VALUES) == "true and 7"
    assert placeholders.text("${off}", {"off": False}) == "false"


def test_what_an_answer_says_is_not_read_again():
    assert placeholders.fill("${again}", VALUES) == "${id}"
    assert placeholders.text("<${again}>", VALUES) == "<${id}>"


def test_a_value_stays_one_part_of_a_url():
    assert placeholders.url("http://x/${name}?on=${on}", VALUES) == "http://x/a%2Fb%20c?on=true"
    assert placeholders.url("http://x/${evil}", {"evil": "../?a#b"}) == "http://x/..%2F%3Fa%23b"


DATA = {"documents": [{"id": 9, "tags": [], "more": {}, "empty": None}], "count": 0}


def test_a_path_leads_through_mappings_and_lists():
    assert placeholders.follow(DATA, "documents.0.id") == 9
    assert placeholders.follow(DATA, "count") == 0


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("documents.1.id", "there is no '1'"),
        ("documents.-1.id", "there is no '-1'"),
        ("documents.id", "there is no 'id'"),
        ("count.x", "there is no 'x'"),
        ("documents.0.empty", "the value is null"),
        ("documents.0.tags", "the value is a list"),
        ("documents.0.more", "the value is a mapping"),
    ],
)
def test_where_a_path_ends_is_told(path, why):
    with pytest.raises(LookupError, match=why):
        placeholders.follow(DATA, path)


def test_secret_values_are_hidden_longest_first_and_common_ones_are_not():
    assert placeholders.hide("token abcdef, abcdef-long, on", ["abcdef", "abcdef-long", "on"]) == "token ***, ***, on"
