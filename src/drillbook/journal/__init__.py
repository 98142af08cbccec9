"""The journal: a run's append-only record, hash-chained, on the disk before anything is changed. See docs/journal.md.

Lives here: writing and reading it, intents of changes, reading a damaged one, commands for undoing by hand.
Lives elsewhere: what a run showed (`judge`), what its journal is signed with (`attestation`).
"""
