"""Kinds of findings: every code has a title, a severity and a remedy for a person, and no other meaning."""

import re

import pytest

from drillbook import findings
from drillbook.findings import backups, content, runs, services
from drillbook.findings.kind import Severity

FILES = (backups, content, services, runs)
CODES = [(code, kind) for file in FILES for code, kind in file.FINDINGS.items()]


@pytest.mark.parametrize(("code", "kind"), CODES, ids=[code for code, _ in CODES])
def test_a_code_is_words_of_a_title_and_has_a_remedy(code, kind):
    assert re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", code)
    assert kind.title[0].isupper()
    assert not kind.title.endswith(".")
    assert kind.remedy.endswith((".", "`", ")")), kind.remedy
    assert kind.severity in set(Severity) - {Severity.INFORMATION}, "which only reports use"


def test_no_code_is_in_two_files():
    assert (
        len({code for code, _ in CODES})
        == len(CODES)
        == len({**backups.FINDINGS, **content.FINDINGS, **services.FINDINGS, **runs.FINDINGS})
    )
    assert {code for code, _ in CODES} <= set(findings.CATALOGUE)
