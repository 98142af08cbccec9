"""Attestations: signed digests of a run's files, copies of journal hashes in other places (anchors), and their verification.

Lives here: the signed text about a run or suite, the state of its signature, anchors, timestamps, `report.verify`.
Lives elsewhere: keys and signatures themselves (`signing`), the record of a whole period (`audit`).
"""
