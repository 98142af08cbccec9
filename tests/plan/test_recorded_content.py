"""Content that an earlier step certainly recorded before the fault counts as a comparison, and no other content."""

import pytest

from tests.plan.test_planner import made
from tests.plan.test_restorable import MATCHES, PROOF, RESTORE, SITE, changed, free, refused

TAKE = """\
  - content.take: {service: database, of: {rows: {command: [print, rows]}}}
    save: before
"""


RECORDED = '  - content.matches: {service: database, manifest: "{{ before.manifest }}"}\n'


def test_content_that_the_drill_recorded_before_the_fault_is_a_comparison(tmp_path):
    text = changed(MATCHES, RECORDED, changed(RESTORE, free()))
    assert made(tmp_path, changed(PROOF, PROOF + TAKE, text), SITE).phase("verify")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            PROOF,
            PROOF + TAKE.replace("service: database", "service: same", 1).replace("    save", "    when: 1 == 1\n    save"),
        ),
        (PROOF, PROOF + TAKE.replace("service: database", "service: spare", 1)),
        (RECORDED, TAKE + RECORDED),
    ],
    ids=["taken perhaps", "of another service", "taken after the restore"],
)
def test_content_that_was_not_recorded_for_certain_before_the_fault_is_none(tmp_path, old, new):
    text = changed(old, new, changed(MATCHES, RECORDED, changed(RESTORE, free())))
    refused(tmp_path, text, "restores:", "no step of `verify` is certain to compare the restored content")
