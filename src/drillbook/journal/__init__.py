"""The journal: append-only, hash-chained record of a run.

Each change is on disk in the journal before it is made. See docs/journal.md.

Lives here: writing and reading a journal, the state of a run (what a task has read from the files of the run), intents of
changes, salvage of damaged journals, manual undo, names of files in a run's folder.
Lives elsewhere: the result of a run (`judge`), the signatures of its journal (`attestation`).
"""
