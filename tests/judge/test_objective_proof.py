"""The rule by which an objective is proven."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillbook.judge.objective_proof import Answer, Standing, answer, standing, up_to_the_decision

P, R, M, F, N = Answer.PROVED, Answer.RESERVED, Answer.MISSED, Answer.FAILED, Answer.NONE


@pytest.mark.parametrize(
    ("verdict", "met", "marked", "wanted"),
    [
        ("passed", True, False, P),
        ("passed", True, True, R),
        ("failed", False, False, M),
        ("aborted", False, False, M),
        ("failed", None, False, F),
        ("failed", True, False, N),  # another objective was missed
        ("inconclusive", None, False, N),
        ("refused", None, False, N),
        ("aborted", None, False, N),
        ("not verified", None, False, N),
        ("passed", None, False, N),
    ],
)
def test_the_answer_of_one_run(verdict, met, marked, wanted):
    assert answer(verdict, met, marked=marked) is wanted


@pytest.mark.parametrize(
    ("answers", "wanted", "proven"),
    [
        ([], Standing(), False),
        ([N], Standing(), False),
        ([P, N], Standing(0), True),
        ([P, R], Standing(0, 1), True),
        ([P, M], Standing(0, None, 1), False),
        ([P, F, N], Standing(0, None, 1), False),
        ([P, M, R], Standing(0, 2, 1), False),
        ([P, R, M], Standing(0, None, 2), False),
        ([M, P], Standing(1), True),
        ([R], Standing(None, 0), False),
        ([R, P], Standing(1), True),
    ],
)
def test_the_newest_run_that_tried_decides(answers, wanted, proven):
    assert standing(answers) == wanted
    assert standing(answers).proven is proven


@given(st.lists(st.sampled_from(list(Answer))))
def test_no_answer_before_the_decision_changes_it(answers):
    decisive = up_to_the_decision(reversed(answers))
    assert standing(decisive).proven == standing(answers).proven
    assert decisive == answers[len(answers) - len(decisive) :]
    asked = []
    up_to_the_decision(asked.append(one) or one for one in [Answer.NONE, Answer.MISSED, Answer.PROVED])
    assert asked == [Answer.NONE, Answer.MISSED], "older runs are not read"
