"""Signs of the table of coverage: each has one meaning, and the key names those that the table has."""

from __future__ import annotations

import re

from drillbook.audit import coverage_signs, html
from drillbook.audit.coverage import LEFT_OUT, NO_RUN, NOT_YET, Cell, CoverageRow
from drillbook.audit.record_begin import NO_RECORD
from drillbook.report.remarks import RESERVED
from drillbook.report.wording import BADNESS, STATES
from tests.audit import stories
from tests.audit.stories import Book
from tests.audit.test_chain import audited
from tests.report.test_agreement import plain


def test_every_state_of_a_cell_has_a_sign_with_a_meaning():
    cells = [Cell("2026-01", 2, 1, verdict, residue=True, recovered=1) for verdict in BADNESS]
    cells += [Cell("2026-01", 1, 1, "passed", residue=False)]
    cells += [Cell("2026-01", 0, 0, word, residue=False) for word in (NO_RUN, LEFT_OUT, NO_RECORD, NOT_YET)]
    row = CoverageRow("lab", "api", tuple(cells), 2, 1, (), ())
    found = dict(coverage_signs.key([row]))
    assert list(found) == ["1 of 2" if sign == coverage_signs.SOME else sign for sign in coverage_signs.MEANINGS]
    assert found["1 of 2"] == "1 of the 2 runs of this time passed", "an example that the table has"
    assert coverage_signs.REHEARSAL not in (STATES[RESERVED], *STATES.values()), (
        "`~` is an objective that was met with a reservation"
    )


def test_a_rehearsal_among_the_runs_is_not_said_to_have_recovered_from_a_fault():
    """One drill and one rehearsal: the number of runs is 2, of recoveries 1."""
    cell = Cell("2026-01", 2, 2, "passed", residue=False, recovered=1)
    assert cell.count == "2 runs, 1 with a recovery from a fault"
    assert Cell("2026-01", 2, 2, "passed", residue=False, recovered=2).count == "2 runs"
    key = dict(coverage_signs.key([CoverageRow("lab", "api", (cell,), 2, 2, (), ())]))
    assert key[coverage_signs.of(cell)] == "passed: in at least one of the runs, the service recovered from a fault"
    assert "with rehearsals" in key["1, 2, …"]


def test_the_page_shows_the_key_of_what_it_has(tmp_path):
    page = html.render(audited(stories.year(Book(tmp_path))))
    (key,) = re.findall(r'<ul class="key".*?</ul>', page, re.S)
    assert "not passed since" in plain(key)
    assert "changes that were not undone" in plain(key)
    assert "aborted" not in plain(key)
    assert " ! " not in plain(page.split('class="stack matrix"')[1].split("</table>")[0])
