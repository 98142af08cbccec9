"""Shell texts that may be run in a shell that stays open on a host."""

from __future__ import annotations


class Functions(str):
    """Text for `sh -c` that a host may define once as a function, and then call in subshells of a shell that stays
    open.

    For this, the text must read no input and must not use ``$0``. It must leave no process behind that keeps the output
    open or belongs to the session of the shell. The text is run at most once: if the connection breaks meanwhile, the
    command ends with CommandLost.
    """

    __slots__ = ()
