"""Drillbook: disaster-recovery drills as code."""

__version__ = "0.1.0"
