"""Sentences of the audit about the limits of its own record: the holders of its anchors and its key, and the clock of its times."""

from __future__ import annotations

import shutil
from dataclasses import replace

from drillbook.attestation import anchor_places, timestamps
from drillbook.audit import content, limits
from drillbook.audit.assurance import Assurance
from drillbook.audit.period import Period
from tests.attestation.test_auditor import PAGE
from tests.report.test_agreement import plain

UNSTAMPED = "No anchor of this period has a timestamp of an authority"


def pages(bench):
    texts = [plain((bench.root / "audit" / name).read_text()) for name in ("audit.html", "audit.md")]
    return [" ".join(text.replace("\\", "").split()) for text in texts]


def test_a_record_whose_anchor_key_and_journals_are_in_one_hand_says_so(bench, audit):
    """The general sentences about persons who could also change the anchors do not tell that this is the case here."""
    audit()
    for page in pages(bench):
        assert limits.ONE_HAND in page
        assert "this account can also use the key of the only trusted signature" in page
        assert "could change the journals, the signatures and the anchors without a trace" in page
        assert UNSTAMPED in page
        assert "by the controller's clock" in page, "the time of the newest anchor is no second clock"
        assert "'Anchors' and 'Signed by another key' on the page 'The audit of a period'" in page


def test_an_anchor_in_another_place_is_not_said_to_be_in_the_same_hand(bench, audit, tmp_path):
    copy = tmp_path / "anchor"
    shutil.copy(anchor_places.default(bench.root / "reports"), copy)
    audit(anchor=str(copy))
    for page in pages(bench):
        assert limits.ONE_HAND not in page
        assert UNSTAMPED in page


def test_the_page_of_the_documentation_has_the_named_sections():
    page = PAGE.read_text()
    assert page.startswith("# The audit of a period\n")
    assert "\n## Anchors\n" in page
    assert "\n## Signed by another key\n" in page


def test_a_timestamp_of_an_authority_is_counted_and_said_to_be_unchecked_without_its_root():
    known = Assurance(compared=("/mnt/anchors: 2 runs",), anchored_runs=2, timestamped=1)
    audit = replace(content.make([], [], Period.parse("2026-01-01", "2026-12-31")), assurance=known)
    said = " ".join(limits.limits(audit))
    assert "1 of 2 anchors of this period has a timestamp of an authority" in said
    assert f"this was not checked, because {timestamps.ROOTS} is not set" in said
    checked = " ".join(limits.limits(replace(audit, assurance=replace(known, timestamps_checked=True))))
    assert "not checked" not in checked
    assert UNSTAMPED not in checked
