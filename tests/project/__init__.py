"""Tests of a project folder: schedules, standings, due drills, settings."""
