"""The first instruction of a remedy, where there is little room."""

import pytest

from drillbook.report.remedies import first_instruction


@pytest.mark.parametrize(
    ("remedy", "said"),
    [
        ("The backup is incomplete. Enter the missing data again, and look. To lose less, archive the log.",
         "The backup is incomplete. Enter the missing data again, and look"),
        ("It is old. If it is new, wait. Take it again.", "Take it again"),
        ("To lose fewer writes, take backups more often.", "To lose fewer writes, take backups more often"),
        ("The data is gone.", ""),
    ],
)  # fmt: skip
def test_it_is_the_first_sentence_that_begins_with_a_verb(remedy, said):
    assert first_instruction("removed-data-missing", remedy) == said


def test_a_general_remedy_has_none():
    assert first_instruction("not-ready", "Correct the cause.") == ""
