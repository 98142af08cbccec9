"""Pages of InnoDB in a physical backup. The program innochecksum verifies them in the stored files."""

from __future__ import annotations

import re

from drillbook.findings import Finding, finding
from drillbook.language.lists import leading
from drillbook.systems.mariadb.copied_files import CopiedFiles

NOT_COVERED = (
    "errors in the redo log: only `backup.restore` applies this log, to a copy",
    "Aria and MyISAM tables, whose stored pages have no checksum to verify",
    "missing files of a table: only `backup.restore` finds them, because it opens every table",
)
NO_PROGRAM = "checksums of pages, because innochecksum is not on the host"
INCREMENT = "checksums of pages, because the backup is an increment; also check the backups that it needs"
# FOLDER: read every byte: pages with innochecksum, other files with cat. The second and third extent of the system
# tablespace are the doublewrite buffer with old copies of pages of other files; they are read but not verified.
# A table that was created since the last checkpoint (*.new) may have pages but no first page yet, which the redo log creates.
# innochecksum reads the format of all pages from the first page. So it gets a first page that is made here, of the format
# full_crc32, and then the flags of other formats (ROW_FORMAT=COMPRESSED, and the format of servers before 10.5 and of
# innodb_checksum_algorithm=crc32), where it has an option for them. Only the true first page explains the other formats of encrypted
# and of compressed pages (PAGE_COMPRESSED).
READ = r"""
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
cd -- "$1" || exit 44
command -v innochecksum >/dev/null && echo pages || echo "no innochecksum"
size=$(sed -n 's/^innodb_page_size=//p' backup-my.cnf 2>/dev/null)
extent=64
test "${size:-16384}" -ge 16384 || extent=$((1048576 / size))
flags=$(innochecksum --help 2>/dev/null | sed -n "/--tablespace-flags/p")
checked() {
  said=$(innochecksum "$@" 2>&1) || printf 'damaged %s: %s\n' "$file" "$(printf %s "$said" | head -n 2 | tr '\n' ' ')"
}
# Size of the file according to its first page: number of pages, and page size from the tablespace flags.
whole() {
  # shellcheck disable=SC2046 # three numbers
  set -- $(od -An -v -tu4 --endian=big -j46 -N12 -- "$1" 2>/dev/null)
  test $# = 3 || { echo 0; return; }
  if test "$(($3 & 16))" != 0; then echo "$(($1 * (512 << ($3 & 15))))"
  elif test "$((($3 >> 1) & 15))" != 0; then echo "$(($1 * (512 << (($3 >> 1) & 15))))"
  else echo "$(($1 * ${size:-16384}))"; fi
}
# BYTES PAGE: true if the page of the file is empty or does not exist.
empty() { test -z "$(tail -c "+$(($1 * $2 + 1))" -- "$file" | head -c "$1" | tr -d '\000')"; }
# Print the file with a first page of the format full_crc32, whose last four bytes are its CRC-32C.
with_first() {
  case $page in
    4096) end='\0223\0372\0300\0071' ;;
    8192) end='\0346\0217\0165\0000' ;;
    16384) end='\0235\0252\0157\0023' ;;
    32768) end='\0155\0204\0274\0055' ;;
    65536) end='\0021\0271\0336\0134' ;;
    *) return 1 ;;
  esac
  head -c 57 /dev/zero; printf %b "\\006$power"; head -c "$((page - 62))" /dev/zero; printf %b "$end"
  tail -c "+$((page + 1))" -- "$file"
}
# BYTES: print how the pages look: `plain` if they may have another format than full_crc32, `encoded` if innochecksum can also not
# verify that format, `full` if neither. Of the first three pages that are not empty, each begins with a checksum and its number
# (in full_crc32, with the version of a key or zeros), and an encoded one contains the version of a key, or the type of
# compressed pages. Without the option, and if the first 1024 pages are empty, `encoded` is printed. `packed` is printed for
# compressed pages without a checksum, which innochecksum takes for intact in every format.
look() {
  number=0 pages=0 sums= encoded=
  while test "$pages" -lt 3 && test "$number" -lt 1024 && number=$((number + 1)) && test "$((number * $1))" -lt "$bytes"; do
    ! empty "$1" "$number" || continue
    pages=$((pages + 1))
    begins=$(od -An -v -tx1 -j "$((number * $1))" -N 30 -- "$file" | tr -d ' \n')
    sum=$(printf %s "$begins" | cut -c 1-8)
    case $(printf %s "$begins" | cut -c 49-60) in
      8632* | 9219*) echo packed; return ;;
      ????00000000) ;;
      *) encoded=1 ;;
    esac
    case $begins in
      00000000*) echo full; return ;;
      ????????"$(printf %08x "$number")"*) ;;
      *) echo full; return ;;
    esac
    sums="$sums $sum"
  done
  case $pages$sums in
    *' deadbeef'*) echo packed ;;
    "2 $sum $sum" | "3 $sum $sum $sum") echo full ;;
    *) if test "$pages" = 0 || test -n "$encoded" || test -z "$flags"; then echo encoded; else echo plain; fi ;;
  esac
}
without_first() {
  page=${size:-16384} bytes=$(stat -c %s -- "$file") open= power=0
  while test "$power" -lt 7 && test "$((512 << power))" -lt "$page"; do power=$((power + 1)); done
  if empty "$page" 0 && wrong=$(with_first | innochecksum - 2>&1) && test "$(look "$page")" != packed; then
    printf 'unwritten %s\n' "$file"
    return
  fi
  base=33
  test "$page" = 16384 || base=$((33 + power * 64))
  for zipped in 0 1 2 3 4 5; do
    one=$((512 << zipped))
    test "$zipped" != 0 || one=$page
    if test "$one" -gt "$page" || test "$((bytes % one))" != 0 || ! empty "$one" 0; then continue; fi
    case $(look "$one") in
      encoded | packed) open=1 ;;
      plain)
        innochecksum "--tablespace-flags=$((base + zipped * 2))" "$file" >/dev/null 2>&1 || continue
        printf 'unwritten %s\n' "$file"
        return ;;
    esac
  done
  if test -n "$open"; then printf 'unread %s\n' "$file"; else
    printf 'damaged %s: %s\n' "$file" "$(printf %s "${wrong:-its first page is incomplete}" | head -n 2 | tr '\n' ' ')"
  fi
}
find . -type f | while IFS= read -r file; do
  cat -- "$file" >/dev/null || printf 'damaged %s: it cannot be read\n' "$file"
  command -v innochecksum >/dev/null || continue
  case $file in
    *.delta | *.meta) continue ;;
    *.ibd | *.new | */ibdata[0-9]* | */undo[0-9]*) ;;
    *) continue ;;
  esac
  if test ! -s "$file"; then
    printf 'damaged %s: it is empty\n' "$file"
  elif test "$(($(stat -c %s -- "$file") % 1024))" != 0; then
    printf 'damaged %s: its last page is cut off\n' "$file"
  elif test "$file" = ./ibdata1; then
    checked -e "$((extent - 1))" "$file"
    checked -s "$((3 * extent))" "$file"
  elif test "${file%.new}" != "$file" && empty 64 0; then
    without_first
  elif test "$(stat -c %s -- "$file")" -lt "$(whole "$file")"; then
    printf 'damaged %s: %s bytes of %s\n' "$file" "$(stat -c %s -- "$file")" "$(whole "$file")"
  else
    checked "$file"
  fi
done
"""


def damage(text: str, files: CopiedFiles, name: str, host: str) -> list[Finding]:
    """Return a finding if the output of the script ``READ`` reports damaged files. Return an empty list when no file is
    damaged.

    In a backup that is not prepared, the first page of a new table may exist only in the redo log. In a prepared backup, the
    redo log was applied to the files. So a file of a prepared backup without its first page is damaged.
    """
    wrong = re.findall(r"^damaged \./(.*)$", text, re.MULTILINE)
    if files.prepared:
        empty = _told("unwritten", text) + _told("unread", text)
        wrong += [f"{file}: the first page of the file is empty, although the backup is prepared" for file in empty]
    if not wrong:
        return []
    shown, others = leading(wrong, 3)
    more = f"; and {others} more" if others else ""
    return [
        finding(
            "backup-damaged",
            title=name,
            wanted="correct checksums of all pages",
            measured="; ".join(shown)[:600] + more,
            host=host,
        )
    ]


def not_verified(text: str) -> str:
    """Return the reason why the script ``READ`` could not verify the checksums of all pages. ``text`` is the output of the
    script. The reason is empty when the script could verify them.
    """
    if not (files := _told("unread", text)):
        return ""
    return (
        f"checksums of pages in {len(files)} new tables, such as {files[0]}: innochecksum needs the first page of a file with "
        f"encrypted or compressed pages, and this page is only in the redo log"
    )


def coverage(files: CopiedFiles, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return two lists of texts: the parts that a verification covered, and the parts that it did not cover. ``text``
    is the output of the script ``READ``.
    """
    covered = ("every byte was read", "the files that mariadb-backup writes last exist")
    if files.kind == "incremental":
        return covered, (*NOT_COVERED, INCREMENT)
    if not text.startswith("pages"):
        return covered, (*NOT_COVERED, NO_PROGRAM)
    if why := not_verified(text):
        return covered, (*NOT_COVERED, why)
    if new := _told("unwritten", text):
        left = f"the first page and the length of {len(new)} new tables, such as {new[0]}: they are only in the redo log"
        return (*covered, "the checksum of every stored page of InnoDB"), (*NOT_COVERED, left)
    return (*covered, "the checksum of every page of InnoDB"), NOT_COVERED


def _told(word: str, text: str) -> list[str]:
    """Return the names of the files from those lines of ``text`` that begin with ``word``. ``text``: output of the script
    ``READ``."""
    return re.findall(rf"^{word} \./(.*)$", text, re.MULTILINE)
