"""Stacks of a Python process: read, and counted by function."""

from drillbook.systems.linux import stacks


def test_without_a_sample_there_is_no_busy_function():
    assert stacks.functions(stacks.collapsed("py-spy> Samples: 0 Errors: 0\n")) == []


def test_stacks_are_counted_by_function():
    found = stacks.collapsed(
        'process 7:"/bin/x --password=hunter2;y";a (f.py:1);b (f.py:2) 3\nprocess 7;a (f.py:9);b (f.py:5) 5\n'
        "a (f.py:1) 2\nnonsense\n"
    )
    assert sum(found.values()) == 10
    assert "hunter2" not in str(found)
    rows = {row["function"]: (row["samples"], row["with_calls"]) for row in stacks.functions(found)}
    assert rows == {"b (f.py)": (8, 0.8), "a (f.py)": (2, 1.0)}
