"""Tests of the system `ansible`, with the real ansible-core."""
