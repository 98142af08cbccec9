"""Parameters with expressions: what no value of an expression can mend is told before the run, and nothing else."""

import pytest
from pydantic import BaseModel, ConfigDict

from drillbook.errors import SourceError
from drillbook.language import strict
from drillbook.sdk import entries


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Url(_Part):
    url: str
    port: int = 80


class _Socket(_Part):
    path: str
    port: int = 0
    mode: int = 0


class _Sent(_Part):
    to: tuple[_Url | _Socket, ...]
    port: int = 1


def told(text):
    """Messages about the parameters ``text``, with line and column."""
    document = strict.parse(text, "drill.yml")
    dynamic = frozenset({"to", "port"})
    try:
        entries.check_params(document, _Sent, document.value, dynamic, ())
    except SourceError as error:
        return [f"{one.where.line}:{one.where.column} {one.message}" for one in (error, *error.others)]
    return []


@pytest.mark.parametrize(
    "text",
    [
        'to: [{url: "{{ u }}", port: "{{ p }}"}]',
        'to: [{path: "{{ u }}", port: "{{ p }}", mode: 7}]',
        'to: "{{ all }}"',
        'to: ["{{ one }}"]\nport: "{{ p }}"',
    ],
)
def test_what_a_value_can_mend_is_not_told(text):
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('to: [{url: "{{ u }}", port: "{{ p }}", mood: 7}]', "unknown key 'mood'"),
        ('to: [{url: "{{ u }}", port: high}]', "to.0.port: expected a whole number, not 'high'"),
        ('prot: "{{ p }}"\nto: ["{{ one }}"]', "unknown key 'prot'"),
        ('port: "{{ p }}"', "the key 'to' is missing"),
    ],
)
def test_what_no_value_can_mend_is_told(text, said):
    assert any(one.endswith(said) for one in told(text)), told(text)
