"""Attestations: the digests of all that a run left, signed; anchors of them elsewhere; and verifying them.

Lives here: the statement of a run or suite, its signature's standing, anchors, timestamps, `report.verify`.
Lives elsewhere: keys and signatures themselves (`signing`), the record of a whole period (`audit`).
"""
