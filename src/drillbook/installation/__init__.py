"""This installation of the program: how it was installed, its extras, and the name by which it was called.

Lives here: the command that adds an extra to this installation, the program's name in the commands that messages suggest.
Lives elsewhere: the packages of each extra (`pyproject.toml`), the command line itself (`cli`).
"""
