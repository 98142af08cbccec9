"""Lines of a journal that are read in groups give the same result as lines read one by one, also for invalid lines."""

import json

import pytest

from drillbook.journal import lines
from drillbook.values import canonical, digest

AT_ONCE = 10
COUNT = 35


def journal():
    """Lines of a journal; some contain numbers that the standard library may format differently."""
    found, prev = [], "sha256:before"
    for number in range(COUNT):
        data = {"text": f'ä "{number}"', "nested": [{"a": None}, True]}
        if number == 12:
            data["token"] = 1795916475952797
        if number == 21:
            data["small"] = 1e-9
        event = {"seq": number, "at": "t", "clock": number / 7, "kind": "made.up", "data": data, "prev": prev}
        event["hash"] = prev = digest(canonical(event))
        found.append(canonical(event))
    return found


def again(line, **changes):
    """Line with other fields and a matching hash."""
    event = json.loads(line) | changes
    del event["hash"]
    return canonical(event | {"hash": digest(canonical(event))})


def swapped(found, at):
    found[at - 1], found[at] = found[at], found[at - 1]


def split(found, at):
    """Two lines that form one object, and one line with two objects."""
    event = json.loads(found[at])
    found[at : at + 1] = [b'{"a":[1', b"2]}"]
    found[at - 1] = found[at - 1] + b"," + canonical(event)


DAMAGES = {
    "none": lambda found, at: None,
    "changed": lambda found, at: found.__setitem__(at, found[at].replace(b"made", b"mode")),
    "hashed": lambda found, at: found.__setitem__(at, again(found[at], kind="other")),
    "renumbered": lambda found, at: found.__setitem__(at, again(found[at], seq=at + 1)),
    "removed": lambda found, at: found.pop(at),
    "repeated": lambda found, at: found.insert(at, found[at - 1]),
    "swapped": swapped,
    "split": split,
    "joined": lambda found, at: found.__setitem__(at, found[at] + b"," + found[at]),
    "spaces": lambda found, at: found.__setitem__(at, found[at].replace(b'":', b'": ', 1)),
    "twice the same key": lambda found, at: found.__setitem__(at, found[at].replace(b"{", b'{"at":"u",', 1)),
    "another number": lambda found, at: found.__setitem__(at, found[at].replace(b'"seq":', b'"seq":0', 1)),
    "not json": lambda found, at: found.__setitem__(at, b"\xff{"),
    "empty": lambda found, at: found.__setitem__(at, b""),
    "no object": lambda found, at: found.__setitem__(at, b"[]"),
    "another field": lambda found, at: found.__setitem__(at, again(found[at], more=1)),
    "no text": lambda found, at: found.__setitem__(at, again(found[at], kind=1)),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("at", [1, 9, 10, 11, 12, 20, 29, 30, 34])
@pytest.mark.parametrize("end", [b"\n", b"", b'\n{"torn'])
def test_lines_read_together_give_what_lines_read_one_by_one_give(damage, at, end, monkeypatch):
    found = journal()
    DAMAGES[damage](found, at)
    data = b"\n".join(found) + end
    together = lines._walk(data, at_once=AT_ONCE)
    monkeypatch.setattr(lines, "_intact", lambda *_: [])
    assert together == lines._walk(data)
    if at < COUNT - 1:  # the last line may be cut off, or any other line
        assert bool(together.line) == (damage != "none")


def test_intact_lines_are_read_together(monkeypatch):
    """Only the groups with unusual numbers are read one by one."""
    monkeypatch.setattr(lines, "_event", lambda line: pytest.fail(f"read alone: {line!r}"))
    found = journal()
    assert len(lines._walk(b"\n".join(found[:12]) + b"\n", at_once=4).events) == 12


def test_lines_are_read_one_by_one_where_they_cannot_be_read_together(monkeypatch):
    monkeypatch.setattr(lines, "_intact", lambda *_: [])
    data = b"\n".join(journal()) + b"\n"
    assert (len(lines._walk(data).events), lines._walk(data).line) == (COUNT, 0)
