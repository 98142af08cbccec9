"""The events of a journal, one frozen model a kind: what each says, field by field. `docs/journal.md` is made from them.

Whoever records an event constructs its model, and whoever reads one matches on its type. The chain of hashes, the
file and its locks are not here: see ``drillbook.journal``.
"""
