"""Optional positional arguments: every example in the help can be typed, and a name may be left out."""

import shlex

import pytest
from invoke.parser.parser import Parser

from drillbook.cli.optional_names import names_first, reading
from drillbook.cli.program import program
from tests.cli.test_task_class import EXAMPLES, PATHS, ROOT


@pytest.mark.parametrize("example", [example for path in PATHS for example in EXAMPLES[path]])
def test_every_example_can_be_typed(example):
    words = names_first(shlex.split(example), ROOT)
    with reading(words):
        parsed = Parser(contexts=ROOT.to_contexts(), initial=program().initial_context).parse_argv(words)
    assert [one.name for one in parsed[1:]]
    assert not parsed.unparsed
