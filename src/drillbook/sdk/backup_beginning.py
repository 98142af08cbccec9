"""Reads the beginning of a backup file on the host that will restore it. For this, the file is transferred, decrypted
and decompressed as for a restore.

The commands stop as soon as enough bytes have arrived.
"""

from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from drillbook.errors import Cancelled, CommandTimedOut, DrillbookError, message_of
from drillbook.sdk.action import Context
from drillbook.sdk.backup_places import HostFolder, Place, Prefix, Printed, Web
from drillbook.sdk.download import BEGINNING
from drillbook.sdk.host import Deadline, Host, printable

LIMIT = 256 << 10
"""Number of bytes that are read from the beginning of a backup."""
PACKED_LIMITS = (512 << 10, 5 << 20)
"""Two numbers of bytes to read from the stored file. The larger number is used when the smaller number was not enough to
decompress anything.

This can happen with LZ4 (blocks up to 4 MiB) and with bzip2, because a block can only be decompressed as a whole.
"""
READ_S = 15.0
"""Time limit for reading the beginning of a file, in seconds.

Reading also takes at most half of the time that the step has left. If the time is not enough, the file counts as not
verified, and the step still ends in time.
"""
ENDS_AFTER = 0.8
"""First part of the time limit, as a fraction of it. Output of a command is read only during this part. Later output is
ignored.

The remaining part is for the programs that decrypt and decompress the output.
"""
# SECONDS LIMIT COMMAND...: print the name of the program that decompresses the output of COMMAND, and the first LIMIT bytes after
# the decryption and decompression. Standard input contains secret keys, an empty line, and then the input of COMMAND.
# The input of the programs ends after SECONDS, so that they print what they hold back for a COMMAND that waits. The program timeout of
# busybox before 1.30 has an option for SECONDS, and some builds accept no fraction; without a usable one, COMMAND is awaited.
# A zstd file may begin with a skippable frame (0x184D2A50 to 0x184D2A5F; pzstd writes one). The second magic of lz4 is that of
# its legacy format.
_DECRYPTED = r"""
seconds=$1 limit=$2
shift 2
keys=
while IFS= read -r line && test -n "$line"; do
  keys="$keys$line
"
done
timed() {
  if timeout "$seconds" true 2>/dev/null; then timeout "$seconds" "$@"
  elif timeout -t "$seconds" true 2>/dev/null; then timeout -t "$seconds" "$@"
  else "$@"; fi
}
decrypted() { if test -n "$keys"; then printf %s "$keys" | age --decrypt --identity - -- /dev/fd/3; else cat <&3; fi; }
"""
# The same without the name, and without the decompression.
_DECRYPT = f"""{_DECRYPTED}
"$@" | timed cat | {{ decrypted; }} 3<&0 | head -c "$limit"
"""
_UNPACKED = (
    _DECRYPTED
    + r"""
unpacked() {
  start=$(dd bs=1 count=6 2>/dev/null | od -An -v -to1 | tr -d '\n')
  case $start in
    ' 037 213'*) set -- gzip -dc ;;
    ' 050 265 057 375'* | ' 12'?' 052 115 030'* | ' 13'?' 052 115 030'*) set -- zstd -dcq ;;
    ' 004 042 115 030'* | ' 002 041 114 030'*) set -- lz4 -dcq ;;
    ' 102 132 150'*) set -- bzip2 -dc ;;
    ' 375 067 172 130 132'*) set -- xz -dc ;;
    *) set -- cat ;;
  esac
  echo "$1"
  { printf %b "$(printf %s "$start" | sed 's/ /\\0/g')"; cat; } | "$@"
}
"""
)
_BEGIN = f"""{_UNPACKED}
"$@" | timed cat | {{ decrypted; }} 3<&0 | unpacked | head -c "$((limit + 6))"
"""
# SECONDS PROGRAM PATH: print the lines that PROGRAM for `sed -n` prints of the content of the file PATH, decrypted and decompressed;
# equal lines once, with their number. Print `whole` when the file was read to its end within SECONDS.
_LINES = f"""exec 4>&1
{_UNPACKED}
read_all() {{ timed cat -- "$1" && echo whole >&4; }}
read_all "$1" | {{ decrypted; }} 3<&0 | unpacked | LC_ALL=C sed -n "$limit" | uniq -c
"""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Beginning of a backup file: its first bytes after decryption and decompression."""

    data: bytes = b""
    packed: str = ""
    """Program that decompresses the file. The name is empty for a file that is not compressed."""
    why: str = ""
    """Reason why nothing could be read. It is empty when something was read, or when the file is empty."""


def beginning_of(
    ctx: Context, place: Place, name: str, keys: Sequence[str] = (), limit: int = LIMIT, *, inside: Host | None = None
) -> Beginning:
    """Read up to ``limit`` bytes from the beginning of the file ``name`` on the step's host. Nothing is written there.

    ``keys``: secret keys that decrypt the file; empty for a file that is not encrypted. ``inside``: host that decompresses the
    file; None means the step's host. Raises Cancelled when the run is stopped.
    """
    deadline = Deadline.after(min(READ_S, ctx.deadline.remaining() / 2), ctx.deadline.cancel)
    beginning = Beginning()
    for stored in PACKED_LIMITS:
        try:
            command, given = _command(ctx, place, name, stored, deadline)
            given = "".join(f"{key}\n" for key in keys).encode() + b"\n" + given
            if inside:
                first = Deadline.after(deadline.remaining() * ENDS_AFTER, deadline.cancel)
                data, said = _output(ctx.host, _DECRYPT, (str(stored), *command), given, first)
                beginning = _read(inside, ("cat",), b"\n" + data, limit, deadline) if data else Beginning(why=said)
            else:
                beginning = _read(ctx.host, command, given, limit, deadline)
        except Cancelled:
            raise
        except (DrillbookError, TimeoutError, OSError) as error:
            return Beginning(why=message_of(error))
        if beginning.data or not beginning.packed or isinstance(place, Printed) or deadline.remaining() <= 0:
            break
    return beginning


def lines_of(ctx: Context, place: Place, name: str, keys: Sequence[str], program: str) -> tuple[str, bool]:
    """Filter a whole file by `sed -n PROGRAM | uniq -c`. Return the output, and True if the file was read to its end.

    The file must be in a folder on the step's host. Any other file is not read, because the whole file would have to be
    transferred. The output is then empty, and the second value is False. The second value is also False when reading fails
    or takes too long. Raises Cancelled when the run is stopped.
    """
    if not isinstance(place, HostFolder) or place.host.name != ctx.host.name:
        return "", False
    deadline = Deadline.after(min(READ_S, ctx.deadline.remaining() / 2), ctx.deadline.cancel)
    given = "".join(f"{key}\n" for key in keys).encode() + b"\n"
    try:
        path = place.bring(ctx, name, place.host, "")
        text = _output(ctx.host, _LINES, (program, path), given, deadline)[0].decode("utf-8", "replace")
    except Cancelled:
        raise
    except (DrillbookError, TimeoutError, OSError):
        return "", False
    return text, "whole" in text.splitlines() and deadline.remaining() > 0


def _command(ctx: Context, place: Place, name: str, limit: int, deadline: Deadline) -> tuple[tuple[str, ...], bytes]:
    """Return a command for the step's host that prints the beginning of a file. Also return the command's standard input.

    Raises NotReady when the backup is the output of a command on another host than the step's. Raises HostError when the
    file's host cannot be used.
    """
    match place:
        case HostFolder():
            path = place.bring(ctx, name, place.host, "")
            if place.host.name == ctx.host.name:
                return ("cat", "--", path), b""
            piece = io.BytesIO()
            place.host.run(("head", "-c", str(limit), "--", path), deadline=deadline, sink=piece).check()
            return ("cat",), piece.getvalue()
        case Prefix():
            url = place.store.sign_get(place.key + name, deadline.remaining())
        case Web():
            url = place.url
        case Printed():
            place.need_way(ctx, ctx.host)
            return place.argv, b""
        case _:
            raise DrillbookError(f"{type(place).__name__} has no files whose beginning could be read")
    return ("sh", "-c", BEGINNING, "sh", str(limit)), f"{url}\n".encode()


def _read(host: Host, command: Sequence[str], stdin: bytes, limit: int, deadline: Deadline) -> Beginning:
    data, said = _output(host, _BEGIN, (str(limit), *command), stdin, deadline)
    packed, _, data = data.partition(b"\n")
    program = packed.decode("ascii", "replace") if packed != b"cat" else ""
    return Beginning(data[:limit], program, "" if data else said)


def _output(host: Host, script: str, words: Sequence[str], stdin: bytes, deadline: Deadline) -> tuple[bytes, str]:
    """Return the output of a script, and its error messages. At the time limit, return the output received so far."""
    sink = io.BytesIO()
    seconds = deadline.remaining() * ENDS_AFTER
    argv = ("sh", "-c", script, "sh", f"{seconds:.0f}" if seconds >= 2 else f"{seconds:.1f}", *words)
    try:
        output = host.run(argv, deadline=deadline, stdin=stdin, sink=sink, env={"LC_ALL": "C"})
        said = _said(output.stderr)
    except CommandTimedOut as error:
        said = error.message
    return sink.getvalue(), said


def _said(errors: bytes) -> str:
    """Return error messages as one line. The line in which the program `age` asks for bug reports is left out."""
    lines = printable(errors, limit=600).splitlines()
    return " ".join(" ".join(line for line in lines if not line.startswith("age: report unexpected")).split())[:300]


def unpacked(head: bytes, limit: int) -> bytes:
    """Decompress the first bytes of a file. Return them unchanged if the standard library does not support their compression."""
    with suppress(zlib.error, lzma.LZMAError, EOFError):
        if head.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(31).decompress(head, limit)
        if head.startswith(b"\xfd7zXZ"):
            return lzma.LZMADecompressor().decompress(head, limit)
    return head
