"""Sources of an inventory. To add a source, write a file with a subclass of `Source`, and add the class in `registry.py`.

Lives here: one file for each source, and the registry of all sources.
Lives elsewhere: the inventory itself and its merging (`inventory`).
"""
