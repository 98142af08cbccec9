"""Whole drills beside other tools that run the same commands on the same hosts, in one run and in turn."""
