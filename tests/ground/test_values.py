"""Durations, sizes, secrets and canonical JSON."""

import pytest
from pydantic import BaseModel, ValidationError

from drillbook.errors import SecretError
from drillbook.redact import Redactor
from drillbook.values import Duration, Secret, Size, canonical, digest


class Holder(BaseModel):
    wait: Duration
    room: Size = Size(0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("100ms", 0.1), ("10s", 10), ("5m", 300), ("2h", 7200), ("1d", 86400), ("1.5s", 1.5)]
)
def test_durations(text, seconds):
    assert Holder.model_validate({"wait": text}).wait == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["10", 10, 1.5, "10 s", "s", "-5s", "10sec", "", None, "1h30m", "٣s"])
def test_a_duration_without_a_known_unit_is_refused(text):
    with pytest.raises(ValidationError):
        Holder.model_validate({"wait": text})


@pytest.mark.parametrize("text", ["100ms", "10s", "5m", "2h", "1d", "90s"])
def test_durations_print_so_that_they_can_be_read_again(text):
    assert Duration.parse(str(Duration.parse(text))) == Duration.parse(text)
    assert Holder.model_validate_json(Holder(wait=Duration.parse(text)).model_dump_json()).wait == Duration.parse(text)


def test_sizes():
    assert Size.parse("10MiB") == 10 * 1024 * 1024
    assert str(Size.parse("32MiB")) == "32MiB"


def test_secrets_are_read_late_and_never_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("DRILL_TOKEN", "opensesame")
    (tmp_path / "key").write_text("from-file\n")
    by_env = Secret(source="env", name="DRILL_TOKEN")
    by_file = Secret(source="file", name=str(tmp_path / "key"))
    by_command = Secret(source="command", name=("printf", "from-command"))
    assert [one.reveal() for one in (by_env, by_file, by_command)] == ["opensesame", "from-file", "from-command"]
    for one in (by_env, by_file, by_command):
        shown = f"{one} {one!r} {one.model_dump_json()}"
        assert one.reveal() not in shown.replace("DRILL_TOKEN", "").replace('"printf","from-command"', "").replace(
            "('printf', 'from-command')", ""
        )


@pytest.mark.parametrize(
    "secret",
    [
        Secret(source="env", name="DRILL_NOT_SET"),
        Secret(source="file", name="/nowhere/at/all"),
        Secret(source="command", name=("false",)),
        Secret(source="command", name=("/no/prog",)),
    ],
)
def test_a_secret_that_cannot_be_read_is_an_error_of_its_own(secret):
    with pytest.raises(SecretError):
        secret.reveal()


def test_the_redactor_hides_every_form_of_a_secret():
    import base64
    from urllib.parse import quote

    secret = "p@ss/w ord+\u00e9!"
    redactor = Redactor([secret, "abc"])
    encoded = base64.b64encode(secret.encode()).decode()
    text = f"{secret} {quote(secret)} {quote(secret, safe='')} {encoded} abc"
    hidden = redactor.text(text)
    assert secret not in hidden
    assert quote(secret, safe="") not in hidden
    assert encoded.rstrip("=") not in hidden
    assert "abc" in hidden, "secrets of three letters would hide half of every text"
    assert redactor.value({"a": [secret, {secret: 1}]}) == {"a": ["***", {"***": 1}]}
    assert secret.encode() not in redactor.data(b"x " + secret.encode())


def test_canonical_json_is_the_same_for_equal_values():
    assert canonical({"b": 1.0, "a": "\u00e9"}) == '{"a":"é","b":1}'.encode()
    assert digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
def test_a_stream_is_redacted_wherever_it_is_cut(piece):
    import hashlib
    import io

    secret = "hunter2-hunter2"
    data = (b"x" * 40 + secret.encode() + b"y" * 5) * 7 + secret[:-1].encode()
    file = io.BytesIO()
    writer = Redactor([secret]).writer(file)
    for start in range(0, len(data), piece):
        writer.write(data[start : start + piece])
    digest = writer.finish()
    assert file.getvalue() == data.replace(secret.encode(), b"***")
    assert writer.bytes == len(file.getvalue())
    assert digest == hashlib.sha256(file.getvalue()).hexdigest()
