"""Rules of a sudoers file: exactly the recorded arguments, with wildcards for parts that differ in every run."""

from fnmatch import fnmatchcase

import pytest

from drillbook.hosts.shell import new_token
from drillbook.hosts.sudoers import pattern, rule
from drillbook.sdk.random_names import fresh


def test_a_rule_without_arguments_allows_no_arguments():
    assert rule("drill", "root", "/usr/bin/true", ()) == 'drill ALL=(root) NOPASSWD: /usr/bin/true ""'


def test_an_empty_last_argument_is_a_class_since_a_line_cannot_end_with_an_escaped_space():
    assert rule("drill", "root", "/bin/a", ("b", "")) == r"drill ALL=(root) NOPASSWD: /bin/a b[[\:space\:]]"
    assert rule("drill", "root", "/bin/a", ("b", "", "")) == r"drill ALL=(root) NOPASSWD: /bin/a b\ [[\:space\:]]"


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("a  b", r"a\ \ b"),
        ("*?[x]", r"\*\?\[x\]"),
        ("a:b,c=d#e", r"a\:b\,c\=d\#e"),
        ("a\\b", r"a\\\\b"),
        ("a\nb", r"a[[\:cntrl\:]]b"),
    ],
)
def test_signs_that_sudoers_would_read_otherwise_are_escaped(word, wanted):
    assert pattern(word) == wanted


def test_what_differs_in_every_run_has_the_same_pattern():
    a, b = "20261128T155024.406Z-site-427a", "20270101T000000.001Z-site-0000"
    assert pattern(f"/x/{a}/y") == pattern(f"/x/{b}/y") != pattern("/x/20270101T000000.001Z-other-0000/y")
    assert fnmatchcase(f"/x/{b}/y", pattern(f"/x/{a}/y"))
    assert pattern(new_token()) == pattern(new_token())
    assert fnmatchcase(new_token(), pattern(new_token()))
    assert fnmatchcase("/etc/.conf.ba9876543210", pattern("/etc/.conf.0123456789ab"))
    assert pattern("/etc/.conf.0123456789ab 600") == pattern("/etc/.conf.ba9876543210 600")
    assert pattern(f"gone-{fresh(4)}") == pattern(f"gone-{fresh(4)}") == "gone-~" + 4 * "[0-9a-f]"
    assert (
        pattern("--snapshot=00000003-0000001B-1 a")
        == pattern("--snapshot=00000004-00000FA2-2 a")
        != pattern("--snapshot=1 a")
    )
    assert fnmatchcase("--snapshot=00000004-00000FA2-2", pattern("--snapshot=00000003-0000001B-1").replace("\\=", "="))
    for name in ("drillbook-{}-in", "-A drillbook-{} x", "/var/lib/mysql.drillbook.{}.kept", "/a.drillbook.{}/b"):
        assert pattern(name.format("bdd04240")) == pattern(name.format("0123abcd")) == pattern(name).format(8 * "[0-9a-f]")
    assert pattern("a drillbook-bdd04240beef") == r"a\ drillbook-" + 12 * "[0-9a-f]"
    one, other = (f"~{2049:020d}:~{inode:020d} tar" for inode in (131, 926857))
    assert pattern(one) == pattern(other) != pattern("2049:131 tar")
    assert pattern(f"a{fresh(6)}{fresh(12)} b") == "a~" + 6 * "[0-9a-f]" + "~" + 12 * "[0-9a-f]" + r"\ b"
    assert pattern("/home/~abcdefgh /a~beg") == r"/home/~abcdefgh\ /a~beg"


@pytest.mark.parametrize(
    "words",
    [
        "drillbook-bdd04240b",
        "rm -f drillbook-0a1b2c3d-primary",
        "/var/tmp/drillbook-10012345-1/data",
        "/srv/drillbook-20261129/data",
        "/srv/drillbook-20261129",
        "stop drillbook-deadbeef.service",
        "/srv/drillbook.20261129",
    ],
)
def test_digits_that_no_run_made_stay_as_they_are(words):
    assert pattern(words) == words.replace(" ", r"\ ")
