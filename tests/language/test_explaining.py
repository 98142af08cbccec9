"""Errors of pydantic in the keys of the user's file, with a suggestion for a misspelt key."""

import pytest
from pydantic import BaseModel, ConfigDict

from drillbook.errors import SourceError
from drillbook.language import strict
from drillbook.language.explaining import did_you_mean


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    port: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "hint"),
    [
        ("name: x\ninner:\n  prot: 5\n", 3, 3, "unknown key 'prot'", "did you mean 'port'?"),
        ("name: x\ninner: {port: high}\n", 2, 15, "inner.port", ""),
        ("inner: {}\n", 1, 1, "the key 'name' is missing", ""),
        ("name: [1]\n", 1, 7, "name: expected text, not [1]", ""),
    ],
)
def test_model_errors_point_into_the_file(text, line, column, message, hint):
    document = strict.parse(text, "x.yml")
    with pytest.raises(SourceError) as caught:
        document.validate(Outer, document.value)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert (caught.value.where.line, caught.value.where.column) == (line, column)


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("sevice", ["services", "service", "host"], "did you mean 'service'? "),
        ("ulr", ["port", "url"], "did you mean 'url'? "),
        ("tsoh", ["port", "host"], "did you mean 'host'? "),
        ("nothing", ["service", "host"], ""),
        ("x" * 80, ["x" * 79], ""),
    ],
)
def test_the_most_similar_word_is_suggested(word, known, said):
    assert did_you_mean(word, known) == said
