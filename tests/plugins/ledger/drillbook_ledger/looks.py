"""Recognises ledgers on a host, by the name of their process; the script finds the file with the lines."""

from collections.abc import Iterator
from typing import Any

from drillbook.sdk.looks import Entry, Look, Recognised, Seen, remark, unit_line

SCRIPT = r"""
printf '%s\n' "$holders" | while read -r pid _; do
  test "$(cat "/proc/$pid/comm" 2>/dev/null)" = ledgerd || continue
  printf 'ledger\t%s\t%s\n' "$(privileged readlink "/proc/$pid/cwd")" "$(tr '\000' '\n' <"/proc/$pid/cmdline" | tail -n 1)"
done
"""


class LedgerLook(Look):
    """Ledgers."""

    PROGRAMS = ("ledgerd",)
    SCRIPT = SCRIPT

    def fields(self, service: Recognised, entry: Entry) -> Iterator[str]:
        """Yield the lines of a ledger."""
        yield f"url: http://{entry.address}:{service.port}{remark('listens on loopback only' * service.loopback)}"
        yield f"file: {service.folder}/lines"
        yield unit_line(service.unit)

    def remarks(self, seen: Seen) -> Iterator[Any]:
        """Yield the file of each ledger."""
        yield from (f"a ledger keeps its lines in {file}" for _, file, *_ in seen.rows.get("ledger", []))


LOOKS = {"ledger": LedgerLook()}
