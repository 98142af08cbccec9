"""Type of shell scripts that may be run in a shell that stays open on a host."""

from __future__ import annotations


class Functions(str):
    """Text for `sh -c` that can also be run in a shell that stays open on the host.

    The shell defines the text once as a function, and calls the function in a subshell for each command. Therefore the text
    must read no input and must not use ``$0``. When the function returns, no process that the text started may still keep the
    output open or belong to the session of the shell. If the connection breaks, CommandLost is raised, and the command is not
    repeated.
    """

    __slots__ = ()
