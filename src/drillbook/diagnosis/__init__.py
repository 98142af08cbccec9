"""Diagnosis: decision trees over reading actions, asked at once under one deadline, and causes ranked by what was seen.

Lives here: trees and their files, gathering, ranking, and the actions `diagnosis.*`, which sit above all systems.
Lives elsewhere: the checks that trees ask (`systems`), the task `diagnose` (`cli`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"diagnosis": ".actions"},
)
