"""Parts of an append-only file: the manifest, compared with the files; `test_aof_source.py` checks real parts."""

import pytest

from drillbook.hosts.fake import FakeHost
from drillbook.systems.redis.aof_parts import Copy, Part, judged
from drillbook.systems.redis.verification import Checker

MANIFEST = "appendonly.aof.manifest"
LINES = "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"


def copy(text=LINES, *names, manifest=MANIFEST, size=9):
    names = names or ("appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof", MANIFEST)
    return Copy("nightly", FakeHost("db-1"), "/copy", dict.fromkeys(names, size), manifest, text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (LINES, [("appendonly.aof.1.base.rdb", 1, "b"), ("appendonly.aof.1.incr.aof", 1, "i")]),
        ("# a comment\n\nfile a.2.incr.aof seq 2 type i startoffset 7\n", [("a.2.incr.aof", 2, "i")]),
        ('file "a b.1.incr.aof" seq 1 type i\n', [("a b.1.incr.aof", 1, "i")]),
        (LINES + "file old seq 1 type h\n", [("appendonly.aof.1.base.rdb", 1, "b"), ("appendonly.aof.1.incr.aof", 1, "i")]),
    ],
)
def test_a_manifest_lists_the_parts_that_a_server_loads(text, parts):
    assert copy(text).parts == [Part(*part) for part in parts]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        LINES + "rubbish\n",
        "file ../a seq 1 type i\n",
        "file a seq 1 type x\n",
        "file a seq one type i\n",
    ],
)
def test_a_text_of_another_form_is_no_manifest(text):
    assert copy(text).parts is None
    (problem,) = judged(Checker(None, FakeHost("db-1"), "", ""), copy(text)).problems
    assert (problem.code, problem.measured) == ("backup-damaged", "9 bytes that are not a valid manifest")


def test_a_single_file_needs_no_manifest():
    assert copy("", "appendonly.aof", manifest="").parts == [Part("appendonly.aof", 1, "i")]


@pytest.mark.parametrize(
    ("names", "code", "title"),
    [
        (("appendonly.aof.1.base.rdb",), "backup-missing", f"nightly: {MANIFEST}"),
        (("appendonly.aof.1.base.rdb", MANIFEST), "backup-missing", "nightly: appendonly.aof.1.incr.aof"),
        (
            ("appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof", "appendonly.aof.2.incr.aof", MANIFEST),
            "backup-damaged",
            "nightly",
        ),
    ],
    ids=["no manifest", "no part", "later part"],
)
def test_a_manifest_and_files_that_differ_are_told_before_any_part_is_checked(names, code, title):
    (problem,) = judged(Checker(None, FakeHost("db-1"), "", ""), copy(LINES, *names)).problems
    assert (problem.code, problem.title.endswith(title)) == (code, True)
