"""Programs behind `env`, `nice` and others, and in the first line of a script."""

import pytest

from drillbook.systems.command.wrappers import of_first_line, started


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        ("pg_dump -Fc", "pg_dump"),
        ("env A=1 B= pg_dump", "env pg_dump"),
        ("/usr/bin/env -u A -uB --unset=C -- A=1 pg_dump", "/usr/bin/env pg_dump"),
        ("env PATH=/opt/bin pg_dump", "env"),
        ("env -i pg_dump", "env"),
        ("env -C /tmp ./tool", "env"),
        ("env -S x", "env"),
        ("env", "env"),
        ("env A=1", "env"),
        ("nice pg_dump", "nice pg_dump"),
        ("nice -n 5 pg_dump", "nice pg_dump"),
        ("nice -n5 nohup setsid -w pg_dump", "nice nohup setsid pg_dump"),
        ("nice -5 pg_dump", "nice"),
        ("timeout -k 5 --signal=INT --foreground 10 pg_dump -x", "timeout pg_dump"),
        ("timeout 10", "timeout"),
        ("sudo -n pg_dump", "sudo"),
        ("sh -c pg_dump", "sh"),
    ],
)
def test_programs_that_a_command_starts(argv, found):
    assert " ".join(started(argv.split())) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"#!/bin/sh", ("/bin/sh",)),
        (b"#! /bin/bash -e", ("/bin/bash",)),
        (b"#!/usr/bin/env python3", ("/usr/bin/env", "python3")),
        (b"#!/usr/bin/env -S python3 -u", ("/usr/bin/env", "python3")),
        (b"#!/bin/sh\r", ("/bin/sh\r",)),
        (b"echo no such line", ()),
        (b"", ()),
        (b"\x7fELF\xff", ()),
    ],
)
def test_programs_that_the_first_line_of_a_script_names(line, found):
    assert of_first_line(line) == found
