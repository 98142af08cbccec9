"""Diagnosis: decision trees of read-only actions, executed in parallel under one deadline. Causes are ranked by evidence.

Lives here: trees and their files, running the checks, ranking causes, and the actions `diagnosis.*`, which use all systems.
Lives elsewhere: the actions that trees use as checks (`systems`), the task `diagnose` (`cli`).
"""

from drillbook.sdk.discovery import System

FOLDER = "diagnosis"
"""Name of the folder in ``drills/`` that contains the diagnosis trees of a project."""

SYSTEM = System(
    __name__,
    actions={"diagnosis": ".actions"},
    host_needs=".host_needs",
)
