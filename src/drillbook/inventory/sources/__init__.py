"""Sources of an inventory, one file for each source, and the registry of all sources.

Not here: the inventory itself and its merging (one folder up). To add a source, write a file with a subclass of `Source`, and
add the class in `registry.py`.
"""
