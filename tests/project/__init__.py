"""Tests of a project folder: schedules, standings, what is due, settings."""
