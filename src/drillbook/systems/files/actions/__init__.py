"""Actions `files.*`: digests, archives, faults and comparisons of files.

Lives here: one module for each group of these actions.
Lives elsewhere: archives, and the programs that examine files on a host (`systems.files`).
"""
