"""Expressions in a pull request cannot use unlimited memory or time; expressions that people write work."""

import json
import resource
import subprocess
import sys

import pytest

from drillbook.language.budget import MOST
from tests.program import Folder

LONG = "x" * (1 << 20)
"""Output that a command of a target may have printed."""
HUGE = [
    "9**(9**9)",
    "'a' * 9999999999",
    "(9**9**2)**(9**5)",
    "[0] * 9999999999",
    "('a' * 9999, 'b') * 999999",
    "9999999 * ('ab' * 9)",
    "'%9999999999d' % 1",
    "'%*d' % (9999999999, 1)",
    "'{:9999999999}'.format(1)",
    "'{:{}}'.format(1, 9999999999)",
    "'a'.center(9999999999)",
    "'a' | center(9999999999)",
    "'a'.ljust(9999999999)",
    "'1'.zfill(9999999999)",
    "'a\t'.expandtabs(999999999)",
    "'a\nb' | indent(9999999999)",
    "{'a': [1, 2]} | tojson(9999999999)",
    "5 | round(-9999999999)",
    "(5).to_bytes(9999999999, 'big')",
    "long.replace('', long)",
    "long.replace('x', 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy')",
    "long.join(long)",
    "long | join(long)",
    "long.translate({120: long})",
    "long ~ long ~ long ~ long ~ long",
    "long + long + long + long + long",
    "[1, 2] | batch(9999999999, 'x') | list",
    "[1, 2] | slice(9999999999) | list",
    "long | map('center', 9999) | join",
    "[long, long, long] | map('replace', 'x', long) | join",
    "long | wordwrap(1, true, long)",
    "(long * 2).format(*[1]) * 99",
    "'{0[0]}'.format([9]) * 9999999999",
]
TEXTS = [
    "{% for a in long %}{{ long }}{% endfor %}",
    "{% for a in many %}{{ long }}{% endfor %}",
    "{% for a in many %}" + "y" * 9000 + "{% endfor %}",
    "{% for a in many %}{% for b in many %}{% for c in many %}{% endfor %}{% endfor %}{% endfor %}",
    "{% set a = [1] %}" + "{% set a = [a, a] %}" * 60 + "{{ a }}",
    "{% with a = [1] %}" + "{% with a = [a, a] %}" * 40 + "{{ a }}" + "{% endwith %}" * 41,
    "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "{% for a in many recursive %}{{ loop(many) }}{% endfor %}",
    "{% for a in many %}{% if long.count('zz') %}{% endif %}{% endfor %}",
]
CHILD = """
import json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
from drillbook.language import template
names = {"long": "x" * (1 << 20), "many": list(range(90000))}
for text in json.load(sys.stdin):
    begun = time.monotonic()
    try:
        value = template.evaluate(text, names)
        said = f"gave {len(str(value))}"
    except ValueError as error:
        said = str(error)[-300:]
    print(json.dumps([text, said, time.monotonic() - begun]), flush=True)
"""


def test_nothing_hangs_and_nothing_grows():
    asked = ["{{ " + text + " }}" for text in HUGE] + TEXTS
    done = subprocess.run(
        [sys.executable, "-c", CHILD], input=json.dumps(asked), capture_output=True, text=True, timeout=240, check=False
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row[0] for row in told] == asked, f"it ended at {asked[len(told) :][:1]}: {done.stderr[-400:]}"
    assert [row for row in told if row[1].startswith("gave")] == []
    assert [row for row in told if row[2] > 30] == []


@pytest.mark.parametrize("text", ["{{ 9**(9**9) }}", "{{ 'a' * 9999999999 }}"])
def test_a_plan_of_a_pull_request_is_refused_at_its_line(tmp_path, text):
    folder = Folder(tmp_path)
    folder.write(
        f'inject:\n  - command.run: {{argv: [echo, "{text}"], effect: fault, undo: ["true"], proof: ["true"]}}\n    hosts: controller\n'
        f'restore:\n  - files.extract: {{service: app, from: "{text}"}}\n'
    )
    done = folder.run("drill.plan", "sample", preexec_fn=little)
    assert (done.returncode, "drills/sample.yml:" in done.stderr, "the limit for expressions" in done.stderr) == (
        2,
        True,
        True,
    ), (done.stdout, done.stderr)


def little():
    """Limit the memory, so that a growing expression does not stop the machine."""
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


def test_the_budget_holds_what_a_target_may_print():
    assert 2 * len(LONG) < MOST
