"""Signed attestations of runs: what a run left, by digest, and who says so."""
