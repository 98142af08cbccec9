"""Events of a journal, one frozen model a kind: what each says, field by field. `docs/journal.md` is made from them.

Lives here: the models, in one file a subject; whoever records an event constructs one, whoever reads matches on its type.
Lives elsewhere: the chain of hashes, the file and its locks (`journal`).
"""
