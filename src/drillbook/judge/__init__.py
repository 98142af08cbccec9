"""The judge: derives clocks, losses, findings and a verdict from a run's journal.

The same events always give the same verdict.

Lives here: RTO, outage, data loss, RPO, detection, diagnosis, changes not undone (residue), growth, `result.json`.
Lives elsewhere: texts and pages of reports (`report`), undoing remaining changes (`engine.recovery`).
"""
