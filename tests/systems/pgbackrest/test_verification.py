"""Output of `pgbackrest verify`: only files explicitly named as valid count."""

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.systems.pgbackrest.verification import parse, problems

LABEL = "20261128-075934F"
HEAD = "stanza: main\nstatus: {status}\n  archiveId: 17-1, total WAL checked: 1, total valid WAL: 1\n"
COUNTS = "    missing: {0}, checksum invalid: {1}, size invalid: 0, other: 0\n"


def told(status, files, valid, missing=0, invalid=0, *, whole="ok", said=""):
    row = f"  backup: {LABEL}, status: {status}, total files checked: {files}, total valid files: {valid}\n"
    text = HEAD.format(status=whole) + COUNTS.format(0, 0) + row + COUNTS.format(missing, invalid)
    return [(one.code, one.measured) for one in problems(parse(text, said, LABEL), LABEL, "here")]


def test_a_valid_backup_has_no_finding():
    assert told("valid", 967, 967) == []


@pytest.mark.parametrize(
    ("arguments", "code", "measured"),
    [
        (("valid", 967, 966, 0, 1), "backup-damaged", "1 of 967 files are damaged or missing"),
        (("invalid", 967, 966, 0, 1), "backup-damaged", "1 of 967 files are damaged or missing"),
        (("invalid", 967, 960, 7), "backup-missing", "7 of 967 files are missing"),
        (("invalid", 967, 960, 6, 1), "backup-damaged", "7 of 967 files are damaged or missing"),
        (("invalid", 0, 0), "backup-damaged", "neither the manifest nor its copy can be read"),
        (("valid", 0, 0), "backup-damaged", "neither the manifest nor its copy can be read"),
        (("manifest missing", 0, 0), "backup-missing", "neither"),
        (("in-progress", 0, 0), "backup-damaged", "neither the manifest nor its copy can be read"),
    ],
)
def test_whatever_is_not_valid_is_a_finding_also_with_the_status_ok(arguments, code, measured):
    assert told(*arguments) == [(code, measured)]


def test_a_finding_names_the_first_files():
    said = "".join(f"P01   INFO: invalid checksum '{LABEL}/pg_data/base/1/{n}.gz'\n" for n in range(9))
    ((_, measured),) = told("invalid", 20, 11, 0, 9, said=said)
    assert measured.count("pg_data") == 5


@pytest.mark.parametrize(
    "text", ["", "stanza: main\nstatus: error\n  No usable backup.info file\n", HEAD.format(status="ok")]
)
def test_an_output_without_the_backup_verifies_nothing(text):
    with pytest.raises(CouldNotVerify, match="printed no result"):
        parse(text, "", LABEL)
