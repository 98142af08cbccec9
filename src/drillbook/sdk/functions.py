"""Shell texts that may be run in a shell that stays open on a host."""

from __future__ import annotations


class Functions(str):
    """Text for `sh -c` that a host may define once as a function, and then call in subshells of a shell that stays open.

    So the text reads no input, does not need ``$0``, and leaves no process behind that has its output open or that belongs
    to its session. It is run at most once: when the connection breaks meanwhile, the command ends with CommandLost.
    """

    __slots__ = ()
