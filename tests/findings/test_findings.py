"""The model of a finding, and the registration of a plugin's codes."""

import pytest
from pydantic import ValidationError

from drillbook import findings
from drillbook.findings import CRITICAL, LOW, Finding, Kind, finding

OWN = Kind(LOW, "The box is empty", "Fill it.")


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(findings, "CATALOGUE", dict(findings.CATALOGUE))
    findings.register({"box-empty": OWN})


def test_a_finding_has_the_words_of_its_code_unless_it_brings_better_ones(registered):
    short = finding("box-empty", measured="0", wanted="1", step="verify.1", host="app-1")
    assert (short.title, short.severity, short.remedy) == ("The box is empty", LOW, "Fill it.")
    assert (short.measured, short.wanted, short.step, short.host) == ("0", "1", "verify.1", "app-1")
    long = finding("box-empty", title="box 7", remedy="Fill box 7.")
    assert (long.title, long.remedy) == ("The box is empty: box 7", "Fill box 7.")


def test_an_unknown_code_is_no_finding():
    with pytest.raises(KeyError, match="no-such-code"):
        finding("no-such-code")


def test_a_code_keeps_its_meaning(registered):
    findings.register({"box-empty": Kind(LOW, "The box is empty", "Fill it.")})
    for kind in (Kind(CRITICAL, "The box is empty", "Fill it."), Kind(LOW, "Another box", "Fill it.")):
        with pytest.raises(ValueError, match="'box-empty' is already defined"):
            findings.register({"box-new": OWN, "box-empty": kind})
    assert "box-new" not in findings.CATALOGUE, "all codes of a plugin, or none"


def test_a_finding_never_changes_and_has_no_other_keys(registered):
    with pytest.raises(ValidationError):
        finding("box-empty").title = "another"
    with pytest.raises(ValidationError):
        Finding.model_validate({**finding("box-empty").model_dump(), "more": 1})
