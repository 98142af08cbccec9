"""Words in the title of a finding. They tell that a recovery undid the changes after the run. Lists of runs look for these
words without loading the judge.
"""

from __future__ import annotations

RECOVERED = "recovered later"
"""Text that is added to the title of the finding that a service was not good again. It is added when `drill.recover` undid
the changes after the run. The time and the operator of the recovery follow this text.
"""
