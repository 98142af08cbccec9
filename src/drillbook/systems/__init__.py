"""One package for each system that Drillbook backs up, breaks, restores or queries. Drillbook finds these packages by
itself.

Lives here: the service kinds, actions and probes of each system, and all other code that knows the system. Every package
uses the same file names.
Lives elsewhere: the interfaces for systems (`sdk`).
No package outside `systems` imports a system by its name.
"""
