"""Facts about this installation of the program: how it was installed, its extras, and the name by which the user called
it.

Lives here: the command that adds an extra to this installation, the name of the program in suggested commands.
Lives elsewhere: the packages of each extra (`pyproject.toml`), the command line itself (`cli`).
"""
