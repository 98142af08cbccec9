"""Names of the files in a run's folder that several packages read or write."""

from __future__ import annotations

RESULT = "result.json"
"""Result of a run, a suite or a campaign, as JSON."""
PAGE = "report.html"
"""Report of a run, a suite or a campaign, as HTML."""
JUNIT = "junit.xml"
"""Results as JUnit XML."""
ATTESTATION = "attestation.json"
"""Signed digests of a run's files."""
