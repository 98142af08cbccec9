"""Words in the title of a finding. They tell that the changes of the run were undone by a recovery after the run. Lists of runs
look for these words without loading the judge.
"""

from __future__ import annotations

RECOVERED = "recovered later"
"""Words that are added to the title of a finding which says that the service did not become good again. They are added if
`drill.recover` undid all changes after the run. The time and the operator of the recovery follow these words.
"""
