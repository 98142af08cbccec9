"""Reads PostgreSQL dumps on a host: detects the format of a dump from its content, and reads every row.

A dump of any format is converted to SQL, and awk reads this SQL in one pass. A run of pg_restore alone would not find all
damage. A dump in directory format does not record the length of its files. If such a file ends in the middle of a row,
pg_restore reports no error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.host import Deadline, Host, printable
from drillbook.sdk.local_times import moments
from drillbook.systems.postgres.programs import AS_CLIENT

UNPACKERS = {
    "none": ("cat",),
    "gzip": ("gzip", "-dc"),
    "zstd": ("zstd", "-dcq"),
    "lz4": ("lz4", "-dcq"),
    "bzip2": ("bzip2", "-dc"),
    "xz": ("xz", "-dc"),
}
CHECKSUM_FLAG = 0x04
"""Bit in the fifth byte of a zstd or LZ4 frame that shows whether the content has a checksum.

Sources: RFC 8878, section 3.1.1.1.1, and the description of the LZ4 frame format.
"""
# PATH: print the compression of the dump file, the format of the dump, and its first bytes.
_LOOK = """
hex() { od -An -v -tx1 | tr -d ' \\n'; }
if test -d "$1"; then
  if test -f "$1/toc.dat" || test -f "$1/toc.dat.gz"; then echo none directory -; else echo none unfinished -; fi
  exit
fi
start=$(head -c 16 -- "$1" | hex)
test -r "$1" || exit 1
case $start in
  1f8b*) packed=gzip ;; 28b52ffd* | 5?2a4d18*) packed=zstd ;; 04224d18* | 02214c18*) packed=lz4 ;; 425a68*) packed=bzip2 ;;
  fd377a585a*) packed=xz ;; *) packed=none ;;
esac
inner=$start
if test "$packed" != none; then
  command -v "$packed" >/dev/null || { echo "$packed missing -"; exit; }
  inner=$("$packed" -dc < "$1" 2>/dev/null | head -c 16 | hex)
  test -n "$inner" || "$packed" -dc < "$1" >/dev/null 2>&1 || inner=damaged
fi
case $inner in 5047444d50*) format=custom ;; 746f632e64617400*) format=tar ;; '') format=empty ;; *) format=plain ;; esac
echo "$packed $format ${start:--}"
"""
# PROGRAM MODE FILE PG_RESTORE ONLY UNPACKER...: print the results of awk on the SQL of a dump, and the exit statuses.
_READ = """
program=$1 mode=$2 file=$3 restore=$4 only=$5
shift 5
{
  case $mode in
    plain) { "$@" < "$file"; echo "unpacker $?" >&3; } ;;
    path) "$restore" --create ${only:+"$only"} --file=- -- "$file"; echo "pg_restore $?" >&3 ;;
    stdin)
      { "$@" < "$file"; echo "unpacker $?" >&3; } |
        { "$restore" --create ${only:+"$only"} --file=-; echo "pg_restore $?" >&3; cat >/dev/null; } ;;
  esac | awk "$program"
} 3>&1
"""
# FILE UNPACKER...: read a tar to its end marker, two blocks of zeros. pg_restore loops forever on a truncated tar.
_WALK = """
file=$1
shift
"$@" < "$file" | tar -tf - >/dev/null || exit 1
if test "$1" = cat; then tail -c 1024 -- "$file"; else "$@" < "$file" | tail -c 1024; fi | tr -d '\\000' | grep -q . || exit 0
echo "the archive does not end with two blocks of zeros" >&2
exit 1
"""
# PATH PG_RESTORE UNPACKER...: print the compression method in the header of an archive, and its start time, which is the local
# time of the host that made it.
_HEADER = """
path=$1 restore=$2
shift 2
if test "$1" = cat; then "$restore" --list -- "$path"; else "$@" < "$path" | "$restore" --list; fi |
  sed -n -e 's/^; *Compression: /compression /p' -e 's/^; *Archive created at \\([0-9-]* [0-9:]*\\).*/begun \\1/p'
"""
_AWK = r"""
function bad(what) { if (problems++ < 3) print "bad " what }
function columns_of(line,  n) {
  gsub(/"([^"]|"")*"/, "q", line)
  if (line !~ /\(.*\) FROM stdin;$/) return 0
  sub(/^[^(]*\(/, "", line)
  n = gsub(/,/, ",", line)
  return n + 1
}
function relation(line) {
  sub(/^-- (Data for )?Name: /, "", line); sub(/; Owner: .*$/, "", line); sub(/; Type: TABLE DATA; /, "; Type: TABLE; ", line)
  return line
}
BEGIN { FS = "\t"; ended = "none"; top = 1 }
!copying && /^\\connect / { joined = NR }
!copying && /^-- PostgreSQL database dump\r?$/ && joined && NR - joined < 5 { top = 1 }
top && !/^\r?$|^--|^\\(restrict|connect) |^SET .*;\r?$|^SELECT pg_catalog\.set_config\(/ { top = 0 }
top && /^\\restrict / { print "top restrict" }
top && /^SET [a-z_]+ = / { word = $0; sub(/^SET /, "", word); sub(/ = .*/, "", word); print "top " word }
copying && $0 == "\\." { copying = 0; print "rows " rows " " table; next }
copying && columns > 1 && NF != columns { bad("row " (rows + 1) " of " table " has " NF " of " columns " columns"); copying = 0 }
copying && columns < 2 && before == "--" && /^-- (Data for )?Name: .*; Type: / { bad("the rows of " table " do not end"); copying = 0 }
copying { rows++; before = $0; next }
/^COPY .* FROM stdin;$/ && named {
  copying = 1; rows = 0; before = ""; columns = columns_of($0); named = 0
  table = $0; sub(/^COPY /, "", table); sub(/ (\(.*\))? ?FROM stdin;$/, "", table)
  next
}
/^-- (Data for )?Name: / {
  named = 0; defined = ""
  if (/; Type: TABLE; Schema: /) { tables++; defined = relation($0) }
  if (/; Type: TABLE DATA; Schema: /) { data++; named = 1; delete lacking[relation($0)] }
  if (/; Type: BLOBS?;/) objects++
  next
}
/^CREATE TABLE / && defined != "" { lacking[defined] = "lacking"; next }
/^CREATE UNLOGGED TABLE / && defined != "" { lacking[defined] = "unlogged"; next }
/^PARTITION BY / && defined != "" { delete lacking[defined]; next }
/^-- Dumped by pg_dump version [0-9]\./ { old = 1 }
/^INSERT INTO / { inserts++; next }
/^-- PostgreSQL database cluster dump$/ { cluster = 1; ended = "none"; print "sql " $0 }
/^-- PostgreSQL database dump$/ { if (!cluster) ended = "none" }
/^-- PostgreSQL database dump complete$/ { if (!cluster) ended = "database" }
/^-- PostgreSQL database cluster dump complete$/ { ended = "cluster" }
/^-- Dumped (from|by) / || /^(CREATE (DATABASE|EXTENSION|ROLE|TABLESPACE|POLICY|USER MAPPING|SUBSCRIPTION|SERVER) |GRANT |REVOKE )/ ||
/^(\\connect |SET (default_tablespace|row_security|client_encoding) = |ALTER DEFAULT PRIVILEGES )/ ||
/^ALTER .* OWNER TO / || /^ALTER DATABASE .* SET TABLESPACE / { print "sql " $0 }
END {
  if (copying) bad("the rows of " table " do not end")
  print "counts " tables + 0 " " data + 0 " " inserts + 0 " " objects + 0
  print "ended " ended
  if (old) exit
  for (word in lacking) {
    kind = lacking[word]; schema = word
    sub(/; Type: TABLE; Schema: .*$/, "", word); sub(/^.*; Type: TABLE; Schema: /, "", schema)
    print kind " " schema "." word
  }
}
"""
_GREP = (
    r"^(-- Dumped (from|by) |-- PostgreSQL database cluster dump$|CREATE (DATABASE|EXTENSION|ROLE|TABLESPACE|POLICY|USER MAPPING"
    r"|SUBSCRIPTION|SERVER) |GRANT |REVOKE |\\connect |SET (default_tablespace|client_encoding) = |ALTER DEFAULT PRIVILEGES "
    r"|ALTER .* OWNER TO )"
)
"""Pattern of SQL lines about objects, such as roles, that a server must have before the dump can be loaded.

To read only these lines takes a tenth of the time of a restore.
"""
_DECODING = re.compile(
    r"could not read|could not uncompress|unexpected end|corrupt|invalid|not a valid archive|end of file|decompress|too short"
)
_ANSWERS = ("sql", "rows", "bad", "counts", "ended", "lacking", "unlogged")
"""Kinds of the lines that awk prints about the content of a dump."""
ARCHIVES = ("custom", "tar", "directory")
"""Formats of dumps that pg_restore reads."""


@dataclass(frozen=True, slots=True)
class Form:
    """Form of a dump: the compression of the whole file, and the format.

    ``checksum`` is true if the compressed file contains a checksum of its content.
    """

    packed: str
    format: str
    """Format of the dump: custom, tar, directory or plain.

    The format is `empty` for an empty file, and `unfinished` for a folder without a table of contents.
    """
    checksum: bool

    @property
    def unpacker(self) -> tuple[str, ...]:
        """Command that decompresses the file."""
        return UNPACKERS[self.packed]

    @property
    def mode(self) -> str:
        """Way to read the dump as SQL: `plain` (it is SQL), `path` (pg_restore opens it), or `stdin` (pg_restore reads a
        pipe).
        """
        return "plain" if self.format == "plain" else "path" if self.packed == "none" else "stdin"

    @property
    def archive(self) -> bool:
        """True for a dump that pg_restore reads, False for plain SQL."""
        return self.format in ARCHIVES


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of reading the SQL of a dump in one pass."""

    sql: tuple[str, ...]
    rows: dict[str, int]
    """Number of rows of each table. The names of the tables are in SQL syntax."""
    tables: int
    data: int
    """Number of tables for which the dump contains an entry for data. The entry of an empty table contains no row, but
    counts, too.
    """
    inserts: int
    objects: int
    """Number of entries of large objects."""
    ended: str
    """Kind of the last end marker in the dump: `database` (by pg_dump), `cluster` (by pg_dumpall), or `none` (no end
    marker).
    """
    problems: tuple[str, ...]
    unpacker: int
    pg_restore: int
    said: str
    preamble: tuple[str, ...] = ()
    """Names of the settings at the beginning of a plain dump. If the beginning also has psql's command ``restrict``, the
    list contains the word `restrict`, although this is no setting.
    """
    without_data: tuple[str, ...] = ()
    """Tables of which the dump has the definition, but no entry for data, such as after `--exclude-table-data`. Names are
    without SQL quotes, such as ``public.orders``.

    Unlogged and partitioned tables are left out. The list is empty for a dump of pg_dump 9, which defines some views as tables.
    """
    unlogged: tuple[str, ...] = ()
    """Unlogged tables without an entry for data."""


UNREAD = Reading((), {}, 0, 0, 0, 0, "none", (), 0, 1, "")
"""Result for a dump that was not read."""


def form_of(host: Host, path: str, deadline: Deadline) -> Form:
    """Detect the compression and the format of the dump at ``path`` from its content.

    Raises NotReady when the host lacks the program that decompresses the dump, and HostError when the host cannot be used.
    """
    words = host.run(("sh", "-c", _LOOK, "sh", path), deadline=deadline).check().text.split()
    packed, format_, start = words[0], words[1], words[2]
    if format_ == "missing":
        raise no_unpacker(host, packed, path)
    flagged = packed in ("gzip", "bzip2", "xz") or (
        start.startswith(("28b52ffd", "04224d18")) and len(start) >= 10 and bool(int(start[8:10], 16) & CHECKSUM_FLAG)
    )
    return Form(packed, format_, flagged)


def no_unpacker(host: Host, program: str, dump: str) -> NotReady:
    """Return the error for a host without ``program``, which decompresses ``dump``."""
    return NotReady(f"{host.name} has no {program}, which the dump {dump} needs", hint=f"install {program} on that host")


def read(host: Host, path: str, form: Form, pg_restore: str, deadline: Deadline, *, schema_only: bool = False) -> Reading:
    """Read the dump at ``path`` on ``host`` as SQL.

    Raises CouldNotVerify when the dump is not read to its end or the result is too large, and HostError when the host cannot
    be used.
    """
    if form.format == "tar":
        walked = host.run(("sh", "-c", _WALK, "sh", path, *form.unpacker), deadline=deadline, env={"LC_ALL": "C"})
        if not walked.ok:
            return replace(UNREAD, said=printable(walked.stderr, limit=600).strip())
    only = "--schema-only" if schema_only else ""
    argv = ("sh", "-c", _READ, "sh", _AWK, form.mode, path, pg_restore, only, *form.unpacker)
    sink = Answer(f"{host.name}: the content of the dump {path}")
    output = host.run(argv, deadline=deadline, env={**AS_CLIENT, "TZ": "UTC"}, sink=sink)
    said = printable(output.stderr, limit=600).strip()
    return _parsed(sink.text, said)


def preamble(host: Host, beginning: bytes, deadline: Deadline) -> tuple[str, ...]:
    """Return the names of the settings at the beginning of a plain dump, as in ``Reading.preamble``. ``beginning``: first
    bytes of the dump.

    The result is empty for a dump in any other format.

    Raises HostError when the host cannot be used.
    """
    sink = Answer(f"{host.name}: the first lines of a dump")
    lines = beginning.rpartition(b"\n")[0] + b"\n"
    host.run(("awk", _AWK), deadline=deadline, stdin=lines, env={"LC_ALL": "C"}, sink=sink)
    return _preamble(line.split(" ", 1) for line in sink.text.split("\n") if " " in line)


def _preamble(lines: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(rest for word, rest in lines if word == "top"))


def outline(host: Host, path: str, form: Form, pg_restore: str, deadline: Deadline) -> tuple[str, ...]:
    """Return the SQL lines about roles, extensions and databases that a restore of the dump needs.

    Raises HostError when the host cannot be used.
    """
    if form.archive:
        return read(host, path, form, pg_restore, deadline, schema_only=True).sql
    script = 'file=$1 pattern=$2; shift 2; "$@" < "$file" | grep -aE -- "$pattern"'
    sink = Answer(f"{host.name}: the SQL about roles, extensions and databases in the dump {path}")
    host.run(("sh", "-c", script, "sh", path, _GREP, *form.unpacker), deadline=deadline, env={"LC_ALL": "C"}, sink=sink)
    return tuple(sink.text.splitlines())


def _parsed(text: str, said: str) -> Reading:
    lines = [line.split(" ", 1) for line in text.split("\n") if " " in line]
    of = {kind: [rest for word, rest in lines if word == kind] for kind in _ANSWERS}
    status = {word: int(rest) for word, rest in lines if word in ("unpacker", "pg_restore")}
    if not of["counts"] or not of["ended"]:
        raise CouldNotVerify(f"the dump was not read to its end: {said or 'awk gave no answer'}")
    tables, data, inserts, objects = (int(word) for word in of["counts"][-1].split())
    rows: dict[str, int] = {}
    for count, _, name in (rest.partition(" ") for rest in of["rows"]):
        rows[name] = rows.get(name, 0) + int(count)
    return Reading(
        sql=tuple(of["sql"]),
        rows=rows,
        tables=tables,
        data=data,
        inserts=inserts,
        objects=objects,
        ended=of["ended"][-1],
        problems=tuple(printable(problem, limit=300) for problem in of["bad"]),
        unpacker=status.get("unpacker", 0),
        pg_restore=status.get("pg_restore", 0),
        said=said,
        preamble=_preamble(lines),
        without_data=tuple(sorted(printable(name, limit=300) for name in of["lacking"])),
        unlogged=tuple(sorted(printable(name, limit=300) for name in of["unlogged"])),
    )


def is_damage(said: str) -> bool:
    """Return True when the error message of pg_restore means that the archive is damaged."""
    return bool(_DECODING.search(said))


def header(host: Host, path: str, form: Form, pg_restore: str, deadline: Deadline) -> tuple[str, datetime | None]:
    """Return the compression and the start time of a dump.

    For an archive, both are read from its header. The header has no time zone, so the start is read as a time in the
    time zone of ``host``. For a plain dump, the compression is the compression of the whole file, and the start is None.
    """
    if not form.archive:
        return form.packed, None
    output = host.run(("sh", "-c", _HEADER, "sh", path, pg_restore, *form.unpacker), deadline=deadline, env=AS_CLIENT)
    fields = dict(re.findall(r"^(compression|begun) (.+)$", printable(output.text, limit=200), re.MULTILINE))
    begun = moments(host, [fields["begun"]], deadline)[0] if "begun" in fields else None
    return fields.get("compression", "")[:40].strip(), begun
