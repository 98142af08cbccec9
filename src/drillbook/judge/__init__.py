"""The judge: from a run's journal to clocks, losses, findings and a verdict. Pure: the same events, the same verdict.

Lives here: RTO and outage, data loss and RPO, detection, diagnosis, residue, growth, and `result.json`.
Lives elsewhere: words and pages (`report`), putting back what is left (`engine.recovery`).
"""
