"""Drillbook: disaster-recovery drills as code."""

__version__ = "1.0.0"
