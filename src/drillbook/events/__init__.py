"""Events of a journal. Each kind of event has one immutable model. `docs/journal.md` is generated from the models.

Lives here: the models, grouped in files by topic. Writers construct models, and readers match on their type.
Lives elsewhere: the chain of hashes, the file and its locks (`journal`).
"""
