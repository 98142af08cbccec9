"""Jinja expressions in drills: what people write has its value, references are found, and a plan stays data."""

import pytest

from drillbook.language import template
from tests.language.test_budget import LONG

NAMES = {
    "look": {"stdout": LONG, "value": 0.94567, "rows": [{"name": "b", "n": 2}, {"name": "a", "n": 10**12}]},
    "size": 5 << 30,
    "text": "a\tb",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ look.rows | map(attribute='name') | sort | join(', ') }}", "a, b"),
        ("{{ look.rows | selectattr('n', 'ge', 10000000000) | map(attribute='name') | list }}", ["a"]),
        ("{{ look.missing | default(9999999999) }}", 9999999999),
        ("{{ look.value | round(2) }}", 0.95),
        ("{{ size * 2 + 1 }}", (10 << 30) + 1),
        ("{{ look.stdout.count('x') }}", 1 << 20),
        ("{{ (look.stdout ~ 'y') | length }}", (1 << 20) + 1),
        ("{{ look.stdout | replace('x', 'ab') | length }}", 2 << 20),
        ("{{ '%.2f s' % look.value }}", "0.95 s"),
        ("{{ '{:>6.2f}'.format(look.value) }}", "  0.95"),
        ("{{ 1 ~ 'a' ~ none }}", "1aNone"),
        ("{{ look.rows[0].name.upper() }} of {{ look.rows | length }}", "B of 2"),
        ("{% for one in look.rows if one.n > 2 %}{{ loop.index }}: {{ one.name }}; {% endfor %}", "1: a; "),
        (
            "{% for one in look.rows %}{% for two in look.rows %}{{ one.name }}{{ two.name }} {% endfor %}{% endfor %}",
            "bb ba ab aa ",
        ),
        ("{% if look.rows %}some{% else %}none{% endif %}", "some"),
        ("{{ 'ab' * 3 }}", "ababab"),
        ("{{ 2 ** 40 }}", 1 << 40),
        ("{{ [1] + [2] }}", [1, 2]),
        ("{{ 'a' in look.rows[1].values() }}", True),
        ("{{ text.expandtabs(4) }}", "a   b"),
        ("{{ look.rows | sum(attribute='n') }}", 10**12 + 2),
        ("{{ 'a,b'.split(',') }}", ["a", "b"]),
    ],
)
def test_what_people_write_gives_what_it_gave(text, value):
    assert template.evaluate(text, NAMES) == value


@pytest.mark.parametrize(
    ("text", "bare", "found"),
    [
        ("a {{ one.two[0].three }} b", False, {("one", "two")}),
        ("{{ one['two'] ~ other }}", False, {("one", "two"), ("other",)}),
        ("result.exit == other", True, {("result", "exit"), ("other",)}),
        ("no expression", False, set()),
    ],
)
def test_the_names_that_an_expression_refers_to(text, bare, found):
    assert set(template.references(text, bare=bare)) == found


def test_a_value_is_an_expression_only_where_it_says_so():
    assert [template.is_template(one) for one in ("{{ a }}", "{% if a %}{% endif %}", "a", 7, ["{{ a }}"])] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert [template.has_template(one) for one in (["{{ a }}"], {"x": ["{{ a }}"]}, ["a"])] == [True, True, False]
