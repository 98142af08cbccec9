"""Words in the title of a finding. They tell that the changes of the run were undone by a recovery after the run. Lists of runs
look for these words without loading the judge.
"""

from __future__ import annotations

NOT_GOOD_AGAIN = ("not-recovered", "recovery-not-awaited")
"""Codes of the findings that say that the service did not become good again in the run."""
RECOVERED = "recovered later"
"""Words at the end of the title of a finding. The finding says that the service did not become good again. The words say that
`drill.recover` undid all changes after the run. The time and the operator of the recovery follow.
"""
CONTROLLER_DIED_FIRST = "The controller died before the run recorded an undo of the faults."
"""End of the remedy of such a finding, if the controller of the run died."""
