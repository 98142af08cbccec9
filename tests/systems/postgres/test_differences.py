"""Differences between two sets of objects, without a server."""

from drillbook.systems.postgres import differences


def test_many_differences_are_one_list():
    wanted = {"relation": {f"t{n}": {"owner": "a"} for n in range(300)}}
    found = {"relation": {f"t{n}": {"owner": "b"} for n in range(300)}}
    made = differences.findings(list(differences.between(wanted, found)), lambda one: "schema-differs", ("x",))
    assert len(made) == differences.MOST + 1
    assert "200 more differences" in made[-1].title


def test_parts_of_a_missing_table_are_not_named_apart():
    wanted = {"relation": {"t": {}}, "column": {"t.a": {"of": "t"}, "t.b": {"of": "t"}}}
    assert [one.label for one in differences.between(wanted, {"relation": {}, "column": {}})] == ["relation t"]


def test_a_long_definition_is_shown_from_where_it_differs():
    body = "line\n" * 200
    one = differences.Difference("function", "f()", "definition", body + "SET a = 1;\n", body + "PASSWORD 'hunter2';\n")
    wanted, measured = differences.pair(one)
    assert wanted == "...SET a = 1;\n"
    assert "hunter2" not in measured


def test_what_only_one_side_has_is_missing_or_unexpected():
    found = list(differences.between({"role": {"a": {}}}, {"role": {"b": {"definition": "LOGIN"}}, "rule": {"c": {}}}))
    assert [(one.label, one.wanted, one.measured) for one in found] == [
        ("role a", "as in the backup", "missing"),
        ("role b", "none", "LOGIN"),
    ], "a kind that the backup does not record is not compared"


def test_each_property_that_differs_is_named():
    before, now = {"owner": "clerk", "options": ["x"], "same": 1}, {"owner": "thief", "same": 1, "more": True}
    found = list(differences.between({"view": {"v": before}}, {"view": {"v": now}}))
    assert [(one.label, *differences.pair(one)) for one in found] == [
        ("view v, more", "none", "yes"),
        ("view v, options", '["x"]', "none"),
        ("view v, owner", "clerk", "thief"),
    ]


def test_a_difference_is_accepted_by_its_object_or_by_its_property():
    one = differences.Difference("role", "teller", "login", True, False)
    assert one.accepted_by({"role teller": "all of it"}) == "all of it"
    assert one.accepted_by({"role teller, login": "this"}) == "this"
    assert one.accepted_by({"role t*": "by a pattern"}) == "by a pattern"
    assert one.accepted_by({"role teller, superuser": "another", "role": "no pattern"}) == ""


def test_the_list_of_all_differences_hides_passwords_too():
    one = differences.Difference("server", "far", "options", "password=hunter2-of-mine", "password=hunter2-of-yours")
    text = differences.listed([one])
    assert text.startswith("server far, options\n  wanted: ")
    assert "hunter2" not in text
