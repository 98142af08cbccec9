"""Secrets in all encodings, cut at all positions, in all outputs: no printed form of a secret gets through."""

import base64
import csv
import html
import io
import json
import re
import shlex
import time
from urllib.parse import quote, quote_plus
from xml.sax import saxutils

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from drillbook.engine.recorded_host import RecordingHost
from drillbook.hosts.local import LocalHost
from drillbook.redact import Redactor
from drillbook.sdk.host import CAPTURE_LIMIT, Deadline, excerpt, printable
from tests import tiers
from tests.engine.test_recorded_host import Kept


def go_json(text):
    """Encoding by Go's encoding/json, which escapes HTML."""
    said = json.dumps(text, ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", said)


def lower_percent(text):
    return re.sub("%..", lambda found: found[0].lower(), quote(text, safe=""))


def in_csv(text):
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerow([text])
    return file.getvalue().rstrip("\r\n")


def wrapped(text, width):
    return "\n".join(text[at : at + width] for at in range(0, len(text), width))


ENCODERS = {
    "plain": str,
    "html": html.escape,
    "html of text": lambda text: html.escape(text, quote=False),
    "html of Go": lambda text: html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;").replace("+", "&#43;"),
    "html twice": lambda text: html.escape(html.escape(text)),
    "html in numbers": lambda text: re.sub("[^A-Za-z0-9]", lambda found: f"&#{ord(found[0])};", text),
    "xml attribute": saxutils.quoteattr,
    "json": json.dumps,
    "json of utf-8": lambda text: json.dumps(text, ensure_ascii=False),
    "json with slashes escaped": lambda text: json.dumps(text).replace("/", "\\/"),
    "json in json": lambda text: json.dumps({"text": json.dumps({"p": text})})[len('{"text": "{\\"p\\": ') : -len('}"}')],
    "json in html": lambda text: html.escape(json.dumps(text)),
    "json of Go": go_json,
    "json of Go in json": lambda text: json.dumps(go_json(text)),
    "sql": lambda text: "'" + text.replace("'", "''") + "'",
    "sql with escapes": lambda text: "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'",
    "sql in html": lambda text: html.escape(text.replace("'", "''")),
    "sql identifier": lambda text: '"' + text.replace('"', '""') + '"',
    "percent": lambda text: quote(text, safe=""),
    "percent of paths": quote,
    "percent of forms": quote_plus,
    "percent in lower case": lower_percent,
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "passfile": lambda text: text.replace("\\", "\\\\").replace(":", "\\:"),
    "shell": shlex.quote,
    "shell by backslashes": lambda text: re.sub(r"([^A-Za-z0-9_\n])", r"\\\1", text, flags=re.ASCII),
    "shell in json": lambda text: json.dumps(shlex.quote(text)),
    "python": repr,
    "python in ascii": ascii,
    "csv": in_csv,
    "configparser": lambda text: text.replace("%", "%%"),
    "compose": lambda text: text.replace("$", "$$"),
    "hex": lambda text: text.encode().hex(),
    "hex in upper case": lambda text: text.encode().hex().upper(),
    "hex of bytea": lambda text: "\\x" + text.encode().hex(),
    "hex with blanks": lambda text: text.encode().hex(" "),
    "hex with colons": lambda text: text.encode().hex(":"),
    "hex as escapes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "hex as percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "utf-16": lambda text: text.encode("utf-16-le").decode("utf-8", "surrogateescape"),
    "utf-16 with the higher byte first": lambda text: text.encode("utf-16-be").decode("utf-8", "surrogateescape"),
    "utf-16 as printed": lambda text: printable(text.encode("utf-16-le")),
    "utf-16 in json": lambda text: json.dumps(text.encode("utf-16-le").decode("utf-8", "replace")),
    "utf-16 as latin-1": lambda text: text.encode("utf-16-be").decode("latin-1"),
    "utf-16 in python": lambda text: repr(text.encode("utf-16-le"))[1:],
    "utf-16 of cat -v": lambda text: text.encode("utf-16-le").decode("utf-8", "replace").replace("\0", "^@"),
    "hex wrapped": lambda text: wrapped(text.encode().hex(), 60),
}
SETTINGS = settings(max_examples=40 if tiers.ALL else 1, deadline=None, phases=[Phase.explicit, Phase.generate])
BEFORE, AFTER = "it said <", "> and went on"
CHARACTERS = st.sampled_from("abcXYZ019" + "'\"\\/:&<>%$+=;@ !#-_.,~`|{}[]()*?^" + "\t\nüß生🔑")
SECRETS = st.text(CHARACTERS, min_size=6, max_size=20).filter(
    lambda text: not re.search(r"^\s|\s$|\*\*\*", text) and len(re.sub(r"\W|_", "", text)) >= 4
)
LINES = [
    "-----BEGIN KEY-----",
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW",
    "QyNTUxOQAAACB1",
    "-----END KEY-----",
]


def rest(said):
    """Remainder of ``it said <FORM> and went on`` without marks, quotes around the form, and line ends."""
    assert said.startswith(BEFORE)
    assert said.endswith(AFTER)
    inner = said.removeprefix(BEFORE).removesuffix(AFTER)
    assert "***" in inner, said
    return re.sub(r"""&(amp;)*(quot|#34|#x27);|u0022|u0000|x00|['"\\\0\sxnrE%^@]""", "", inner.replace("***", ""))


def streamed(redactor, data, sizes):
    file = io.BytesIO()
    writer = redactor.writer(file)
    at = 0
    for size in sizes:
        writer.write(data[at : at + size])
        at += size
    writer.write(data[at:])
    writer.finish()
    return file.getvalue().decode()


@pytest.mark.parametrize("name", ENCODERS)
@given(secret=SECRETS, sizes=st.lists(st.integers(0, 40), max_size=20))
@example(secret="pa'ss/wo\"rd<&>:x\\y", sizes=[9, 1, 1, 1])
@example(secret="O'Brien'' 100% $ure", sizes=[])
@SETTINGS
def test_no_form_of_a_secret_gets_into_any_sink(name, secret, sizes):
    form = ENCODERS[name](secret)
    text = BEFORE + form + AFTER
    data = text.encode("utf-8", "surrogateescape")
    redactor = Redactor([secret])
    assert rest(redactor.text(text)) == ""
    assert rest(redactor.data(data).decode()) == ""
    assert rest(streamed(redactor, data, sizes)) == ""
    assert [rest(key) for key in redactor.value({text: 1})] == [""]


@pytest.mark.parametrize("name", ENCODERS)
@given(secret=SECRETS, data=st.data())
@example(secret="pa'ss/wo\"rd<&>:x\\y", data=None)
@SETTINGS
def test_what_is_cut_off_within_a_secret_shows_no_beginning_of_it(name, secret, data):
    form = (BEFORE + ENCODERS[name](secret)).encode("utf-8", "surrogateescape")
    redactor = Redactor([secret])
    cuts = range(len(BEFORE), len(form), 3) if data is None else [data.draw(st.integers(len(BEFORE), len(form)))]
    for cut in cuts:
        said = redactor.cut(form[:cut]).decode("utf-8", "replace")
        left = re.sub(r"""&(a?m?p?;?)*(q?u?o?t?|#34|#x27)?;?|u0022|['"\\\0xE%]""", "", said.replace("***", ""))
        assert BEFORE.startswith(left), (cut, said)


CUTTERS = {"the first": lambda data, cut: excerpt(data, limit=cut), "the last": lambda data, cut: printable(data, limit=cut)}


@pytest.mark.parametrize("cutter", CUTTERS)
@pytest.mark.parametrize("name", ENCODERS)
@given(secret=SECRETS, data=st.data())
@example(secret="pa'ss/wo\"rd<&>:x\\y", data=None)
@SETTINGS
def test_what_a_message_shows_of_an_answer_holds_no_half_of_a_secret(name, cutter, secret, data):
    """The first or last characters of an answer, cut before it is redacted."""
    before, after = "." * 50, "," * 50
    form = ENCODERS[name](secret)
    redactor = Redactor([secret])
    cuts = range(45, len(form) + 55, 3) if data is None else [data.draw(st.integers(45, len(form) + 55))]
    for said in (before + form + after, (before + form + after).encode("utf-8", "surrogateescape")):
        for cut in cuts:
            shown = redactor.text(CUTTERS[cutter](said, cut)).replace("***", "")
            left = re.sub(r"""&(amp;)*(quot|#34|#x27);|u0022|x00|u0000|['"\\\0\sxnrE%^@.,b…]|\\ufffd""", "", shown)
            assert any(left in around for around in ("&amp;quot;", "&quot;", "u0000", "x00")), (cut, shown)


@pytest.mark.parametrize("offset", range(5))
def test_base32_is_found_at_every_alignment(offset):
    secret = "a-password-of-some-length"
    form = base64.b32encode(b"x" * offset + secret.encode() + b"y" * 9).decode()
    redactor = Redactor([secret])
    for text in (form, wrapped(form, 16)):
        assert len(redactor.text(text).replace("***", "").replace("\n", "")) <= (offset + 9) * 8 / 5 + 8
        assert "***" in redactor.text(text)
    for cut in range(16, len(form)):
        assert len(redactor.cut(form[:cut].encode())) <= (offset + 9) * 8 / 5 + 14


@pytest.mark.parametrize("size", [76, 64, 20])
@pytest.mark.parametrize("before", range(20))
def test_base64_is_found_over_the_end_of_a_line(before, size):
    secret = "a-password-of-some-length"
    said = Redactor([secret]).text(wrapped(base64.b64encode(b"x" * before + secret.encode() + b"y" * 9).decode(), size))
    assert len(said.replace("***", "").replace("\n", "")) <= (before + 9) * 4 / 3 + 8
    assert "***" in said


@pytest.mark.parametrize("encode", [str, lambda text: json.dumps(text)[1:-1], lambda text: text.replace("\n", "\r\n")])
def test_every_line_of_a_secret_is_one(encode):
    secret = "\n".join(LINES)
    redactor = Redactor([secret])
    for line in LINES[1:3]:
        assert redactor.text(f"line: {line}.") == "line: ***."
    assert "b3BlbnNz" not in redactor.text(encode(secret))
    assert "QyNTUx" not in redactor.text(encode(secret))
    assert redactor.text(LINES[0]) == LINES[0], "armor is in every key"


def test_a_long_secret_is_found_by_its_pieces():
    """Token of thousands of characters, of which a program prints as many as fit."""
    token = base64.b64encode(bytes(range(256)) * 8).decode().rstrip("=")
    redactor = Redactor([token])
    assert redactor.text(f"<{token}>") == "<***>"
    assert redactor.text(f"<{token[:300]}>").count("***") == 1
    assert token[:100] not in redactor.text(base64.b64encode(token.encode()).decode())
    assert len(redactor.cut(f"<{token[:20]}".encode())) == len("<***")


@pytest.mark.parametrize(
    "secret", ["\\" * 30 + "x", "'" * 30 + "x", '\\"&' * 10 + "x", "%$" * 20 + "x", "-" * 40, " " * 3 + "a" * 40]
)
def test_no_text_makes_the_search_slow(secret):
    """A target may print text for which a regular expression takes exponential time."""
    redactor = Redactor([secret])
    begun = time.process_time()
    for unit in (secret[0], secret[:-1], '\\"', "\\\\u0026", "%25", "&amp;", secret[:-1] + "-"):
        data = (unit * 4_000)[:4_000].encode()
        redactor.data(data)
        redactor.cut(data)
        streamed(redactor, data, [1000] * 4)
    assert time.process_time() - begun < 10


def test_secrets_that_are_no_utf8_are_known_too():
    """Environment variables may contain any bytes."""
    assert Redactor(["geheim\udcff!"]).data(b"<geheim\xff!>") == b"<***>"


@pytest.mark.parametrize("seen", [0, 1, 4, 12, 23])
def test_a_command_whose_output_ends_at_the_limit_shows_no_beginning_of_a_secret(seen):
    secret, journal = "correct-horse-battery-9", Kept()
    host = RecordingHost(LocalHost("here"), journal, "verify.1", Redactor([secret]))
    script = f"head -c {CAPTURE_LIMIT - seen} /dev/zero | tr '\\0' '.'; printf %s \"$1\"; printf and-so-on"
    output = host.run(("sh", "-c", script, "sh", secret), deadline=Deadline.after(60))
    assert not output.complete
    assert output.stdout.count(b"***") == (seen > 0)
    assert set(output.stdout) <= set(b".*")
    ((_, data, _),) = journal
    assert set(data["stdout"]) <= set(".*")
