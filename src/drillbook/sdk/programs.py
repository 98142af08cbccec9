"""Looks for programs on hosts. It asks at most once about each program, and asks about many programs with one command."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from drillbook.sdk.host import Deadline, Host, once_more
from drillbook.sdk.shell_functions import Functions

MANY = 200
"""Maximum number of programs for which one command looks."""

_Place = tuple[str, str]
"""Name of a host, and name of the account that runs commands there."""

# PROGRAM...: print the number of each program that is not on PATH. The first program has the number 0.
_LOOK = Functions(
    """
n=0
for tool; do
  command -v -- "$tool" >/dev/null || echo "$n"
  n=$((n + 1))
done
"""
)


class Programs:
    """Programs that hosts have or lack, as far as the hosts were asked. A new object is empty."""

    def __init__(self) -> None:
        """Start without any knowledge about hosts."""
        self._there: dict[_Place, dict[str, bool]] = {}
        self._expected: dict[_Place, dict[str, None]] = {}
        self._locks: dict[_Place, threading.Lock] = {}
        self._lock = threading.Lock()

    def expect(self, host: str, account: str, programs: Iterable[str]) -> None:
        """Note that ``account`` may need these ``programs`` on ``host``. The next request to the host then looks for them,
        too. An empty account is the SSH user.
        """
        with self._lock:
            self._expected.setdefault((host, account), {}).update(dict.fromkeys(programs))

    def missing(self, host: Host, programs: Sequence[str], *, deadline: Deadline) -> list[str]:
        """Return the names in ``programs`` that are not on the PATH of the account on the host.

        Raises HostError when the host cannot be asked.
        """
        place = host.name, host.target.account
        with self._lock:
            lock = self._locks.setdefault(place, threading.Lock())
            there = self._there.setdefault(place, {})
        with lock:
            if not there.keys() >= set(programs):
                with self._lock:
                    asked = [*dict.fromkeys((*programs, *self._expected.get(place, ())))]
                unknown = [program for program in asked if program not in there]
                for start in range(0, len(unknown), MANY):
                    there |= _look(host, unknown[start : start + MANY], deadline)
        return [program for program in programs if not there[program]]


def _look(host: Host, programs: Sequence[str], deadline: Deadline) -> dict[str, bool]:
    """Return a mapping. Each key is a program, and its value is True when the program is on the host's PATH.

    The host prints the positions of the missing programs in the list, and not their names, because a name may be any text.
    """
    said = once_more(lambda: host.run(("sh", "-c", _LOOK, "sh", *programs), deadline=deadline)).check().text.split()
    return {program: str(number) not in said for number, program in enumerate(programs)}
