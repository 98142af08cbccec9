"""content.take and content.matches on this machine: commands that print lines: their record, and the differences that are shown."""

from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.redact import Redactor


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


def test_a_record_that_was_changed_or_removed_is_not_compared(shop, ground):
    shop.file.write_text("a\n")
    facts = shop.take()
    kept = ground.root / "run" / facts["evidence"]["file"]
    kept.write_text(kept.read_text().replace('"a"', '"b"'))
    with pytest.raises(CouldNotVerify, match="was changed after it was recorded"):
        shop.compare(facts)
    kept.unlink()
    with pytest.raises(CouldNotVerify, match="cannot be read"):
        shop.compare(facts)
