"""Texts that a named person signs: their time, their signer, and where they are stored."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from drillbook.signing import account, texts
from drillbook.signing.texts import Files, Refused, Signed

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def made(**fields):
    return Signed.model_validate({"principal": "alice@example.org", "made": NOW, "until": NOW + timedelta(days=1), **fields})


def refused(call, *args):
    with pytest.raises(Refused) as failure:
        call(*args)
    return failure.value.finding.code


def test_a_text_is_stored_next_to_its_signature(tmp_path):
    files = Files.named(tmp_path, "drill.json")
    assert files.text == tmp_path / texts.FOLDER / "drill.json"
    assert files.signature == tmp_path / texts.FOLDER / "drill.json.sig"


def test_the_signed_text_is_the_same_however_its_time_is_written():
    text = made()
    assert text.rendered() == made(principal="alice@example.org").rendered()
    assert text.rendered().endswith(b"\n")
    assert Signed.model_validate_json(text.rendered()) == text


@pytest.mark.parametrize("fields", [{"made": datetime(2026, 1, 1)}, {"principal": ""}, {"more": 1}])
def test_a_time_without_a_zone_and_unknown_keys_are_refused(fields):
    with pytest.raises(ValidationError):
        made(**fields)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"made": NOW + texts.CLOCKS + timedelta(seconds=1)}, "approval-not-verified"),
        ({"made": NOW - timedelta(days=2), "until": NOW}, "approval-expired"),
        ({"until": NOW + texts.LONGEST + timedelta(seconds=1)}, "approval-expired"),
    ],
)
def test_an_approval_counts_in_its_time_alone(fields, code):
    assert refused(texts.timely, made(**fields), NOW) == code


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"made": NOW + texts.CLOCKS},
        {"until": NOW + timedelta(seconds=1)},
        {"until": NOW + texts.LONGEST},
        {"made": NOW.astimezone(timezone(timedelta(hours=9)))},
    ],
)
def test_an_approval_in_its_time_is_accepted(fields):
    texts.timely(made(**fields), NOW)


@pytest.mark.parametrize("operator", ["alice@example.org", "Alice", " alice@elsewhere.org"])
def test_nobody_approves_a_drill_of_their_own(operator):
    assert refused(texts.other_person, made(), "bob", operator) == "approval-by-operator"
    texts.other_person(made(), "bob", "alice2", "")


def test_the_account_of_the_process_is_an_operator_too():
    assert refused(texts.other_person, made(principal=f"{account.name()}@example.org")) == "approval-by-operator"


def test_one_key_does_not_sign_both_the_approval_and_the_run():
    assert refused(texts.other_key, made(), "SHA256:a", "SHA256:a") == "approval-by-operator"
    texts.other_key(made(), "SHA256:a", "SHA256:b")


def test_a_missing_text_says_if_another_version_was_approved(tmp_path):
    def outdated(path):
        return Refused("approval-changed", str(path))

    path = tmp_path / "drill.12345678.json"
    assert texts.missing(path, "drill", "ask", outdated).finding.code == "approval-missing"
    assert (
        texts.missing(tmp_path / "drill.12345678.json.sig", "drill", "ask", outdated).finding.code
        == "approval-bad-signature"
    )
    (tmp_path / "drill.87654321.json").touch()
    assert texts.missing(path, "drill", "ask", outdated).finding.code == "approval-changed"


def test_an_inventory_without_approvers_says_how_to_name_them(tmp_path):
    for named, said in (("", "names no approvers"), (str(tmp_path / "none"), "does not exist")):
        with pytest.raises(Refused, match=said) as failure:
            texts.signers_of(named)
        assert failure.value.finding.remedy
    (tmp_path / "approvers").touch()
    assert texts.signers_of(str(tmp_path / "approvers")) == tmp_path / "approvers"
