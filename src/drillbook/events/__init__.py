"""Events of a journal: one immutable model for each kind of event. `docs/journal.md` is generated from the models.

Lives here: the models, grouped in files by topic; writers construct models, readers match on their type.
Lives elsewhere: the chain of hashes, the file and its locks (`journal`).
"""
