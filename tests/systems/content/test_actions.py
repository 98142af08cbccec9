"""content.take and content.matches on this machine: commands that print lines and JSON, and a request."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.redact import Redactor
from drillbook.sdk.action import find


@pytest.fixture
def shop(ground, tmp_path):
    """File that commands print; a test can change it between the two readings."""

    class Shop:
        file = tmp_path / "content"

        def take(self, ctx=None, **reading):
            reading = reading if "url" in reading else {"command": ["cat", str(self.file)], **reading}
            action = find("content.take").model_validate({"service": "shop", "of": {"orders": reading}})
            return action.run(ctx or ground.ctx("backup.1"))

        def compare(self, facts, ctx=None):
            action = find("content.matches").model_validate({"service": "shop", "manifest": facts["manifest"]})
            return action.run(ctx or ground.ctx("verify.1"))

        def differences(self, before, after, **reading):
            """Measured value of the finding when the output changes; None when the output counts as equal."""
            self.file.write_text(before if isinstance(before, str) else json.dumps(before))
            facts = self.take(**reading)
            self.file.write_text(after if isinstance(after, str) else json.dumps(after))
            try:
                self.compare(facts)
            except StepFailed as failure:
                (found,) = failure.findings
                assert found.code == "content-differs"
                return found.measured
            return None

    return Shop()


@pytest.mark.parametrize(
    ("before", "after", "reading", "wanted"),
    [
        ("a 1\nb 2\n", "b 2\na 1\n", {}, None),
        ("a 1\nb 2\n", "b 2\na 1\n", {"ordered": True}, "line 1: a 1 became b 2; line 2: b 2 became a 1"),
        ("a 1\nb 2\n", "a 1\n", {}, "1 difference: missing: b 2"),
        ("a\na\n", "a\n", {}, "1 difference: missing: a"),
        ("a 1\n", "a 1\nb 2\n", {}, "1 difference: unexpected: b 2"),
        ("sum 10.0\n", "sum 10.4\n", {"tolerance": 0.5}, None),
        ("sum 10.0\n", "sum 10.6\n", {"tolerance": 0.5}, "missing: sum 10.0; unexpected: sum 10.6"),
        ("x 1\nx 2\n", "x 2\nx 3\n", {"tolerance": 1}, None),
        ("item-1 5\n", "item-2 5\n", {"tolerance": 0}, "missing: item-1 5"),
        ("at 12:00\na\n", "at 12:01\na\n", {"ignore": ["^at "]}, None),
    ],
)
def test_lines(shop, before, after, reading, wanted):
    found = shop.differences(before, after, **reading)
    assert wanted in (found or "") if wanted else found is None


@pytest.mark.parametrize(
    ("before", "after", "reading", "wanted"),
    [
        ({"a": 1, "b": [1, 2]}, {"b": [2, 1], "a": 1}, {}, None),
        ({"b": [1, 2]}, {"b": [2, 1]}, {"ordered": True}, "b.0: 1 became 2"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, {}, "1 difference: a.b: 1 became 2"),
        ({"a": 1}, {"a": True}, {}, "a: 1 became true"),
        ({"a": 1.0}, {"a": 1}, {}, None),
        ({"a": 1.0}, {"a": 1.2}, {"tolerance": 0.3}, None),
        ({"a": 1}, {"a": 1, "b": None}, {}, "b: unexpected null"),
        ({"a": [{"n": 1, "seen": 5}]}, {"a": [{"n": 1, "seen": 9}]}, {"ignore": ["a.*.seen"]}, None),
        ({"a": [{"n": 1, "seen": 5}]}, {"a": [{"n": 2, "seen": 5}]}, {"ignore": ["a.*.seen"]}, 'missing {"n": 1}'),
    ],
)
def test_json(shop, before, after, reading, wanted):
    found = shop.differences(before, after, format="json", **reading)
    assert wanted in (found or "") if wanted else found is None


def test_what_cannot_be_read_or_shows_nothing_never_passes(shop, ground):
    shop.file.write_text("a\n")
    facts = shop.take()
    shop.file.write_text("\n")
    with pytest.raises(CouldNotVerify, match="shows no content"):
        shop.compare(facts)
    with pytest.raises(CouldNotVerify, match="shows no content"):
        shop.take()
    shop.file.unlink()
    with pytest.raises(CouldNotVerify, match="ended with status 1: cat: "):
        shop.compare(facts)
    with pytest.raises(CouldNotVerify, match="does not answer"):
        shop.take(url="http://127.0.0.1:9/")
    shop.file.write_text("no json")
    with pytest.raises(CouldNotVerify, match="cannot be parsed"):
        shop.take(format="json")
    kept = ground.root / "run" / facts["evidence"]["file"]
    kept.write_text(kept.read_text().replace('"a"', '"b"'))
    with pytest.raises(CouldNotVerify, match="was changed after it was recorded"):
        shop.compare(facts)
    kept.unlink()
    with pytest.raises(CouldNotVerify, match="cannot be read"):
        shop.compare(facts)


def test_differences_are_bounded_and_masked(shop):
    found = shop.differences("x\n", "".join(f"line {number} {'y' * 500}\n" for number in range(100)) + "token=abc123\n")
    assert len(found) < 6000
    assert "101 differences" not in found
    assert "102 differences" in found
    assert "and 82 more" in found
    found = shop.differences("user ann password=hunter22\n", "user ann password=hunter23\n")
    assert "hunter" not in found
    assert "password=***" in found


def test_secrets_of_the_inventory_are_hidden_in_the_record(shop, ground):
    ctx = replace(ground.ctx("backup.1"), redactor=Redactor(["s3cret-word"]))
    shop.file.write_text("key s3cret-word\n")
    facts = shop.take(ctx)
    assert "s3cret-word" not in Path(ground.root / "run" / facts["evidence"]["file"]).read_text()
    assert shop.compare(facts, replace(ctx, step="verify.1"))["differences"] == {"orders": 0}


def test_a_reading_is_a_command_or_a_request(shop):
    with pytest.raises(ValidationError, match="either `command` or `url`"):
        shop.take(url="http://127.0.0.1/", command=["ls"])
    with pytest.raises(ValidationError, match="not a regular expression"):
        shop.take(ignore=["("])
