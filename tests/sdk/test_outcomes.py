"""The attempts of a repeated step are counted by their outcome."""

import pytest

from drillbook.sdk.outcomes import MOST, OTHER, Tally

WRONG, SILENT = "http://x/ answered 200, expected 418", "http://x/ does not answer: Connection refused"


def counted(*outcomes):
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome)
    return tally


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([], ""),
        ([WRONG], ""),
        ([WRONG] * 42, ", 42 times in 10 s"),
        ([SILENT] * 3 + [WRONG] * 2, f", 2 of 5 times in 10 s; the other attempts: 3 × {SILENT}"),
        (["a", "b", "b", "c", "d", WRONG], ", 1 of 6 times in 10 s; the other attempts: 2 × b; 1 × a; and 2 more"),
    ],
)
def test_the_words_name_the_number_and_the_other_outcomes(outcomes, said):
    assert counted(*outcomes).times(WRONG, 10.003) == said


def test_only_the_first_line_of_an_outcome_counts():
    tally = counted(f"{WRONG}\n  hint: one", f"{WRONG}\n  hint: another")
    assert tally.entries() == ({"outcome": WRONG, "count": 2},)
    assert tally.times(f"{WRONG}\n  hint", 0.25) == ", 2 times in 0.2 s"


def test_outcomes_that_always_differ_do_not_fill_the_journal():
    tally = counted(*(f"answered in {number} ms" for number in range(100)))
    assert len(tally.entries()) == MOST + 1
    assert tally.entries()[-1] == {"outcome": OTHER, "count": 100 - MOST}
    assert tally.total == 100
