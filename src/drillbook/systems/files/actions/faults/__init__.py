"""Actions `files.*` that break something.

Lives here: permanent loss, damaged bytes, removal, and changes of content, permissions and free space.
Lives elsewhere: the check that a path may be touched (`fields`), and the checks of rights (`systems.files.rights`).
"""
