"""Words of a finding whose service was recovered later. Lists of runs read them without loading the judge."""

from __future__ import annotations

RECOVERED = "recovered later"
"""Text in the title of a finding about a service that was not good again, if `drill.recover` undid the changes later. After it
follow the time and the operator.
"""
