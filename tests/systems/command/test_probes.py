"""command.canary: with shell commands that keep records as lines or files, on this machine."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from drillbook.errors import CouldNotVerify
from drillbook.sdk.probe import find_probe
from tests.systems.refusals import refused_until

SH = ["sh", "-c"]
LINES = {
    "write": [*SH, 'printf "%s\\n" "$1" >> "$2/lines"', "sh", "${record}", "DIR"],
    "read": [*SH, 'test -e "$1/lines" || exit 3; cat "$1/lines"', "sh", "DIR"],
    "remove": [*SH, 'sed -i "/drillbook-$1-/d" "$2/lines"', "sh", "${run}", "DIR"],
}
FILES = {
    "write": [*SH, 'printf "%s" "$1" > "$2/$1"', "sh", "${record}", "DIR"],
    "read": [*SH, 'test -e "$2/$1" || exit 3; cat "$2/$1"', "sh", "${record}", "DIR"],
    "remove": ["rm", "-f", "--", "DIR/${record}"],
    "absent": [3],
}


@pytest.fixture
def make(tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()

    def made(commands, **options):
        filled = {
            key: [str(word).replace("DIR", str(folder)) if isinstance(word, str) else word for word in words]
            for key, words in commands.items()
        }
        return find_probe("command.canary").model_validate({"host": "here", **filled, **options})

    made.folder = folder
    return made


def written(canary, ctx, numbers):
    writer = canary.writer(ctx)
    lost = [(number, lost) for number in numbers if (lost := writer.write(number))]
    writer.close()
    return lost


@pytest.mark.parametrize("commands", [LINES, FILES], ids=["all at once", "each by itself"])
def test_acknowledged_records_are_read_back_one_by_one_and_removed(ground, make, commands):
    canary, ctx = make(commands), ground.ctx("probe.1")
    canary.reach(ctx)
    canary.prepare(ctx)
    assert written(canary, ctx, range(1, 13)) == []
    ctx = replace(ctx, written=12)
    assert canary.survivors(ctx) == list(range(1, 13))
    kept = make.folder / "lines"
    if commands is LINES:
        kept.write_text("".join(kept.read_text().splitlines(keepends=True)[:5]) + "of others\n")
    else:
        for number in range(6, 13):
            (make.folder / f"drillbook-{ctx.run_id}-{number}").unlink()
    assert canary.survivors(ctx) == [1, 2, 3, 4, 5]
    canary.clean(ctx)
    canary.clean(ctx)
    assert [path.read_text() for path in make.folder.iterdir()] == (["of others\n"] if commands is LINES else [])


def test_records_above_the_last_journalled_one_are_removed_too(ground, make):
    """A dead controller has not journalled its last writes."""
    canary, ctx = make(FILES), ground.ctx("probe.1")
    written(canary, ctx, (1, 2, 3, 20))
    canary.clean(replace(ctx, written=3))
    assert list(make.folder.iterdir()) == []


def test_a_refused_command_is_in_doubt_and_one_that_never_began_is_not(ground, make):
    ctx = ground.ctx("probe.1")
    ((_, lost),) = written(make({**LINES, "write": [*SH, "echo full >&2; exit 1", "${record}"]}), ctx, [1])
    assert (lost.reason, lost.doubt) == ("status 1: full", True)
    ((_, lost),) = written(make({**LINES, "write": ["no-such-program", "${record}"]}), ctx, [1])
    assert not lost.doubt
    ((_, lost),) = written(make({**LINES, "write": ["sleep", "60", "${record}"]}, timeout="300ms"), ctx, [1])
    assert lost.doubt


def test_records_that_cannot_be_read_are_not_counted_as_lost(ground, make):
    canary, ctx = make(LINES), ground.ctx("probe.1")
    with pytest.raises(CouldNotVerify, match="status 3"):
        canary.survivors(ctx)
    with pytest.raises(CouldNotVerify, match="status 3"):
        canary.clean(ctx)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"write": [*SH, "exit 1", "${record}"]}, "cannot write: status 1"),
        ({"read": ["true"]}, "does not show it"),
        ({"read": ["false"]}, "cannot read: here: `false` ended with status 1"),
        ({"remove": ["false"]}, "cannot remove: here: `false` ended with status 1"),
        ({"remove": ["true"]}, "but reading still shows it"),
    ],
)
def test_each_of_the_three_commands_is_tried_before_the_drill_begins(ground, make, wrong, said):
    canaries = [{**LINES, **wrong}, LINES]
    refused_until(lambda: make(canaries[0]).prepare(ground.ctx("probe.1")), said, lambda: canaries.pop(0))


def test_a_missing_program_is_told_before_anything_is_written(ground, make):
    canaries = [{**LINES, "remove": ["no-such-program"]}, LINES]
    said = "'no-such-program' is not installed"
    refused_until(lambda: make(canaries[0]).reach(ground.ctx("probe.1")), said, lambda: canaries.pop(0))


@pytest.mark.parametrize(
    ("wrong", "said"), [(["touch", "x"], "the same record each time"), (["touch", "${nr}"], "not a known placeholder")]
)
def test_mistakes_in_placeholders_are_found_in_the_file(make, wrong, said):
    with pytest.raises(ValidationError, match=said):
        make({**LINES, "write": wrong})
