"""Strict YAML: values as people mean them, with places, and without surprises."""

import pytest

from drillbook.errors import SourceError
from drillbook.language import strict


def value(text):
    return strict.parse(text, "x.yml").value


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: on", "on"),
        ("a: yes", "yes"),
        ("a: no", "no"),
        ("a: Off", "Off"),
        ("a: y", "y"),
        ("a: True", "True"),
        ("a: true", True),
        ("a: false", False),
        ("a: null", None),
        ("a: ~", None),
        ("a:", None),
        ("a: 22:30", "22:30"),
        ("a: 010", "010"),
        ("a: 0o10", "0o10"),
        ("a: 0x1F", "0x1F"),
        ("a: 1_000", "1_000"),
        ("a: 12", 12),
        ("a: -3", -3),
        ("a: 1.5", 1.5),
        ("a: 1.5e3", 1500.0),
        ("a: .5", ".5"),
        ("a: .inf", ".inf"),
        ("a: 2026-01-01", "2026-01-01"),
        ("a: '12'", "12"),
        ('a: "true"', "true"),
        ("a: |\n  12\n", "12\n"),
        ("a: [1, on]", [1, "on"]),
    ],
)
def test_scalars_mean_what_they_say(text, wanted):
    found = value(text)["a"]
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "the key 'a' occurs twice"),
        ("a: {b: 1, b: 2}", 1, 11, "the key 'b' occurs twice"),
        ("a: !!python/object:os.system x", 1, 4, "unknown tag"),
        ("a: !secret x", 1, 4, "unknown tag !secret"),
        ("a: [1, 2", 1, 9, "not YAML"),
        ("a: b: c", 1, 5, "not YAML"),
        ("- 1\n- 2\n", 1, 1, "one mapping"),
        ("", 1, 1, "one mapping"),
        ("x", 1, 1, "one mapping"),
        ("? [a]\n: 1\n", 1, 3, "a key must be text"),
        ("a: &x {b: *x}", 1, 4, "refers to itself"),
        ("b: &x {c: 1}\na:\n  <<: *x\n", 3, 3, "merge keys"),
        ("a: 1\n---\nb: 2\n", 2, 1, "not YAML"),
        ("a:\n\t- 1\n", 2, 1, "indented with a tab"),
        ("a:\n  - b: c\n     - d\n", 3, 6, "this line continues the text of line 2, and is no entry of a list"),
    ],
)
def test_errors_name_line_and_column(text, line, column, message):
    with pytest.raises(SourceError) as caught:
        value(text)
    assert message in caught.value.message
    assert (caught.value.where.line, caught.value.where.column) == (line, column)
    assert f"x.yml:{line}:{column}: " in str(caught.value)


def test_the_caret_stands_below_the_column():
    with pytest.raises(SourceError) as caught:
        value("title: x\nsteps: {a: 1, a: 2}\n")
    lines = str(caught.value).splitlines()
    assert lines[1] == "  | steps: {a: 1, a: 2}"
    assert lines[2].index("^") == lines[1].index("a: 2")


def test_exploding_aliases_end_in_an_error():
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    with pytest.raises(SourceError, match="too large"):
        value(bomb)


def test_a_file_that_is_not_text_is_named(tmp_path):
    path = tmp_path / "x.yml"
    path.write_bytes(b"a: \xff\xfe")
    with pytest.raises(SourceError, match="not UTF-8 text"):
        strict.load(path)
    with pytest.raises(SourceError, match="cannot be read"):
        strict.load(tmp_path / "missing.yml")
