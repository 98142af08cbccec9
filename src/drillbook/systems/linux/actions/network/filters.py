"""Loads, finds and deletes the packet filter rules of a fault. Rules that other programs or people made are never touched.

With iptables, each direction has a chain of its own, and one rule that jumps to this chain. With nft, the fault has a
table of its own. A file of rules is loaded completely or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drillbook.systems.linux.actions.network.fields import Traffic
from drillbook.systems.linux.actions.network.lockout import Way

_HOOKS = {"INPUT": "in", "OUTPUT": "out"}

# NAME: exit with 0 when the nft table exists, with 3 when it does not; _NFT_UNDO deletes the table.
_NFT_LOOK = """
tables=$(nft list tables) || exit 1
case "
$tables
" in *"
table inet $1
"*) exit 0 ;; esac
exit 3
"""
# NAME: delete the nft table. Exit with 0 when the table is gone, and with another status when this fails.
_NFT_UNDO = f"""
(:{_NFT_LOOK})
case $? in 0) exec nft delete table inet "$1" ;; 3) exit 0 ;; esac
exit 1
"""
# NAME COMMENT TOOLS: delete the jumps and chains of these rules from iptables and ip6tables.
_IPTABLES_UNDO = """
status=0
for tool in $3; do
  "$tool" -w 5 -S INPUT >/dev/null || exit 1
  for hook in INPUT OUTPUT; do
    test "$hook" = INPUT && chain=$1-in || chain=$1-out
    while "$tool" -w 5 -C "$hook" -m comment --comment "$2" -j "$chain" 2>/dev/null; do
      "$tool" -w 5 -D "$hook" -m comment --comment "$2" -j "$chain" || { status=1; break; }
    done
    if "$tool" -w 5 -S "$chain" >/dev/null 2>&1; then
      { "$tool" -w 5 -F "$chain" && "$tool" -w 5 -X "$chain"; } || status=1
    fi
  done
done
exit $status
"""
# NAME COMMENT TOOLS HOOKS: exit with 0 when all rules exist, 3 when none does, 4 when only some do.
_IPTABLES_LOOK = """
there=0 missing=0
for tool in $3; do
  "$tool" -w 5 -S INPUT >/dev/null || exit 1
  for hook in $4; do
    test "$hook" = INPUT && chain=$1-in || chain=$1-out
    if "$tool" -w 5 -S "$chain" >/dev/null 2>&1; then there=1; else missing=1; fi
    if "$tool" -w 5 -C "$hook" -m comment --comment "$2" -j "$chain" 2>/dev/null; then there=1; else missing=1; fi
  done
done
test "$there" = 1 || exit 3
test "$missing" = 0 || exit 4
"""
ABSENT, PARTLY = 3, 4
# Print all rules of the packet filters; a tool that is not installed has no rules.
HELD = """
for tool in iptables-save ip6tables-save; do
  command -v "$tool" >/dev/null || continue
  echo "--- $tool"; "$tool" || exit 1
done
command -v nft >/dev/null || exit 0
echo "--- nft"; exec nft list ruleset
"""


@dataclass(frozen=True, slots=True)
class Load:
    """A file of rules, and the command that loads it. ``check`` is a command that only validates the file."""

    command: str
    check: str
    document: bytes


@dataclass(frozen=True, slots=True)
class Filter:
    """Rules of one fault. They drop or reset the traffic that the fault names. They never affect the traffic of the controller
    or of the SSH port.

    A fault that resets connections sends packets with the reset flag (RST). One of the rules lets these packets pass, because
    the next rule of this fault would otherwise reject them.
    """

    tool: str  # iptables or nft
    name: str
    comment: str
    traffic: Traffic
    reset: bool

    def loads(self, way: Way) -> list[Load]:
        """Return the files of rules to load. They must be loaded in the returned order."""
        if self.tool == "nft":
            return [Load("exec nft -f -", "exec nft -c -f -", self._nft(way))]
        return [
            Load(
                f"exec {self._tool(family)}-restore -n -w 5",
                f"exec {self._tool(family)}-restore -n -w 5 -t",
                self._iptables(way, family),
            )
            for family in self.traffic.families
        ]

    @property
    def undo(self) -> tuple[str, ...]:
        """Return a shell script that deletes exactly these rules, and the arguments of the script."""
        if self.tool == "nft":
            return (_NFT_UNDO, self.name)
        return (_IPTABLES_UNDO, self.name, self.comment, self._tools)

    @property
    def look(self) -> tuple[str, ...]:
        """Return a shell script that looks for these rules, and the arguments of the script.

        The script's exit status is 0 if all rules exist, ABSENT if no rule exists, and PARTLY if some rules exist.
        """
        if self.tool == "nft":
            return (_NFT_LOOK, self.name)
        return (_IPTABLES_LOOK, self.name, self.comment, self._tools, " ".join(hook for hook, _ in self._directions()))

    @property
    def _tools(self) -> str:
        return " ".join(self._tool(family) for family in self.traffic.families)

    def _tool(self, family: int) -> str:
        return "iptables" if family == 4 else "ip6tables"

    def _directions(self) -> Iterator[tuple[str, str]]:
        for hook, way in _HOOKS.items():
            if self.traffic.incoming if way == "in" else self.traffic.outgoing:
                yield hook, way

    def _iptables(self, way: Way, family: int) -> bytes:
        said = f'-m comment --comment "{self.comment}"'
        end = "REJECT --reject-with tcp-reset" if self.reset else "DROP"
        lines = ["*filter"]
        for hook, side in self._directions():
            chain = f"{self.name}-{side}"
            theirs, ours = ("s", "d") if side == "in" else ("d", "s")
            lines.append(f"-N {chain}")
            # RETURN, not ACCEPT, so that the host's own rules still apply to exempt packets.
            if way.controller.version == family:
                lines.append(f"-A {chain} -{theirs} {way.controller} {said} -j RETURN")
            lines += [
                f"-A {chain} -p tcp -m tcp --{ours}port {way.port} {said} -j RETURN",
                *([f"-A {chain} -p tcp -m tcp --tcp-flags RST RST {said} -j RETURN"] if self.reset else []),
                f"-A {chain} {self._matches(theirs, ours)} {said} -j {end}",
                f"-I {hook} {said} -j {chain}",
            ]
        return "\n".join([*lines, "COMMIT", ""]).encode()

    def _matches(self, theirs: str, ours: str) -> str:
        """Return arguments of iptables that match the traffic in one direction."""
        traffic, words = self.traffic, []
        if traffic.protocol != "all":
            words.append(f"-p {traffic.protocol} -m {traffic.protocol}")
        if traffic.peer is not None:
            words.append(f"-{theirs} {traffic.peer}")
        if traffic.peer_port is not None:
            words.append(f"--{theirs}port {traffic.peer_port}")
        if traffic.own_port is not None:
            words.append(f"--{ours}port {traffic.own_port}")
        return " ".join(words)

    def _nft(self, way: Way) -> bytes:
        said = f'comment "{self.comment}"'
        ip = "ip" if way.controller.version == 4 else "ip6"
        end = "reject with tcp reset" if self.reset else "drop"
        lines = [f"create table inet {self.name}"]
        for hook, side in self._directions():
            chain = f"inet {self.name} {side}"
            theirs, ours = ("s", "d") if side == "in" else ("d", "s")
            lines += [
                f"add chain {chain} {{ type filter hook {hook.lower()} priority -10; policy accept; }}",
                f"add rule {chain} {ip} {theirs}addr {way.controller} accept {said}",
                f"add rule {chain} tcp {ours}port {way.port} accept {said}",
                *([f"add rule {chain} tcp flags & rst == rst accept {said}"] if self.reset else []),
                f"add rule {chain} {self._nft_matches(theirs, ours)} {end} {said}",
            ]
        return "\n".join([*lines, ""]).encode()

    def _nft_matches(self, theirs: str, ours: str) -> str:
        traffic, words = self.traffic, []
        if traffic.peer is not None:
            words.append(f"{'ip' if traffic.peer.version == 4 else 'ip6'} {theirs}addr {traffic.peer}")
        for side, port in ((theirs, traffic.peer_port), (ours, traffic.own_port)):
            if port is not None:
                words.append(f"{traffic.protocol} {side}port {port}")
        if traffic.protocol != "all" and traffic.peer_port is None and traffic.own_port is None:
            words.append(f"meta l4proto {traffic.protocol}")
        return " ".join(words)


def of_run(held: str, run_id: str) -> list[Filter]:
    """Return the rules of one run, each with tool, name and comment. ``held``: output of the script ``HELD``."""
    mark = rf'comment "?(?P<comment>drillbook {re.escape(run_id)} [^\s"]+)'
    saved = rf"{mark}.* -j (?P<name>drillbook-\w+)-(?:in|out)\b"
    listed = rf"table inet (?P<name>drillbook-\w+) \{{[^}}]*?{mark}"
    anything = Traffic(None, None, None, "tcp", True, True)
    pieces = re.split(r"^--- (\S+)\n", held, flags=re.MULTILINE)[1:]
    filters = {}
    for tool, text in zip(pieces[::2], pieces[1::2], strict=True):
        kind, owned = ("nft", listed) if tool == "nft" else ("iptables", saved)
        for match in re.finditer(owned, text):
            filters[kind, match["name"]] = Filter(kind, match["name"], match["comment"], anything, False)
    return list(filters.values())
