"""Sources of an inventory, a file each, and their registry.

Not here: the inventory itself and its merging (one folder up). To add a source, write a file with a subclass of `Source`, and
add the class in `registry.py`.
"""
