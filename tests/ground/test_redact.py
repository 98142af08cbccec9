"""The redactor: secrets that contain others, secrets across the pieces of a stream, and in all printed forms."""

import base64
import io
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest

from drillbook.redact import Redactor, both_ends, excerpt

NESTED = ["hunter2", "hunter2-of-the-database", "the-database-password"]


def streamed(secrets, pieces):
    file = io.BytesIO()
    writer = Redactor(secrets).writer(file)
    for piece in pieces:
        assert writer.write(piece) == len(piece)
    return file, writer


@pytest.mark.parametrize("order", [1, -1])
def test_of_secrets_that_begin_alike_the_longer_is_hidden_whole(order):
    redactor = Redactor(NESTED[::order])
    text = "user hunter2-of-the-database and hunter2, then the-database-password"
    assert redactor.text(text) == "user *** and ***, then ***"
    assert redactor.data(text.encode()) == b"user *** and ***, then ***"


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_a_stream_hides_a_secret_whole_wherever_it_is_cut(order, size):
    text = b"user hunter2-of-the-database, then the-database-password" * 5 + b" and hunter2"
    file, writer = streamed(NESTED[::order], [text[at : at + size] for at in range(0, len(text), size)])
    writer.finish()
    assert file.getvalue() == b"user ***, then ***" * 5 + b" and ***"
    assert writer.bytes == len(file.getvalue())


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_secret_that_begins_like_a_shorter_one_is_hidden_whole_wherever_it_stands(size):
    """Also if the part of a stream so far contains no more than the shorter secret."""
    for before in range(60):
        text = b"x" * before + b"hunter2-of-the-database" + b"y" * 60
        file, writer = streamed(NESTED, [text[at : at + size] for at in range(0, len(text), size)])
        writer.finish()
        assert file.getvalue() == b"x" * before + b"***" + b"y" * 60


def test_a_stream_keeps_back_no_more_than_the_longest_secret():
    """Evidence of gigabytes is written while it arrives."""
    file, writer = streamed(["hunter2"], [b"x" * 1000])
    assert len(file.getvalue()) >= 1000 - 4 * len("hunter2")
    writer.write(b"y" * 1000)
    assert len(file.getvalue()) >= 2000 - 4 * len("hunter2")
    writer.finish()
    assert file.getvalue() == b"x" * 1000 + b"y" * 1000


def test_a_stream_without_secrets_is_passed_on_at_once():
    file, writer = streamed([], [b"abc", b"def"])
    assert file.getvalue() == b"abcdef"
    assert writer.finish() == "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721"


@pytest.mark.parametrize("secret", ["geheim&mehr/x y", 'pa\'ss "word"', "schlüßel\tneu", "back\\slash"])
@pytest.mark.parametrize(
    "form",
    [
        str,
        quote,
        lambda secret: quote(secret, safe=""),
        quote_plus,
        json.dumps,
        lambda secret: json.dumps(secret, ensure_ascii=False),
        lambda secret: secret.encode("unicode_escape").decode(),
        shlex.quote,
    ],
)
def test_forms_in_which_programs_print_a_secret_are_hidden(secret, form):
    said = Redactor([secret]).text(f"it said <{form(secret)}>")
    assert said.removeprefix("it said <").removesuffix(">").strip("'\"") == "***"


@pytest.mark.parametrize("before", ["", "u", "us", "use", "user"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_of_a_text_with_a_secret_in_it_is_hidden_at_every_alignment(before, encode):
    secret = "hunter2?>~~hunter2"
    whole = encode(f"{before}{secret}:more".encode()).decode()
    said = Redactor([secret]).text(whole)
    assert "***" in said
    assert len(said.replace("***", "")) <= len(whole) - len(secret), "hardly more than what stands around it is left"
    left, _, right = said.partition("***")
    inside = len(f"{before}{secret}") * 4 // 3
    assert (len(left), len(right)) == (-(-len(before) * 4 // 3), len(whole) - inside), "no letter that tells of it alone"


def test_what_is_too_short_to_be_looked_for_hides_nothing():
    assert Redactor(["abc"]).text("the abc of it") == "the abc of it"
    assert Redactor(["abcd"]).text("the abcd of it") == "the *** of it"
    assert Redactor([]).data(b"abc") == b"abc"


def test_values_are_hidden_in_keys_and_at_every_depth():
    redactor = Redactor(["hunter2"])
    assert redactor.value({"hunter2": [("x", "hunter2"), {"n": 1, "none": None, "deep": {"hunter2!": True}}]}) == {
        "***": [["x", "***"], {"n": 1, "none": None, "deep": {"***!": True}}]
    }


OVER = ["abcdef", "defghi", "hijkl", "xyzw"]


@pytest.mark.parametrize("text", ["abcdefghi", "abcdefghijkl", "-abcdefghi-", "abcdefabcdefghi"])
def test_secrets_that_lie_over_one_another_leave_no_tail(text):
    for redact in (Redactor(OVER).text, lambda one: Redactor(OVER).data(one.encode()).decode()):
        assert not set(redact(text)) & set("abcdefghijkl"), redact(text)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100])
def test_nor_in_a_stream_wherever_it_is_cut(size):
    text = b"1 abcdefghijkl 2 defghi 3 xyzwxyzw 4" * 9
    file, writer = streamed(OVER, [text[at : at + size] for at in range(0, len(text), size)])
    writer.finish()
    assert file.getvalue().replace(b"******", b"***") == b"1 *** 2 *** 3 *** 4" * 9


def test_a_stream_of_one_secret_over_another_is_not_kept_back_for_ever():
    file, writer = streamed(["aaaa"], [b"a" * 50] * 2000)
    assert len(writer._kept) <= 4 * len("aaaa")
    writer.write(b"-aaa-")
    assert writer.finish()
    assert file.getvalue() == b"***-aaa-"


def test_a_redactor_without_secrets_says_so():
    redactor = Redactor(["no"])  # too short to be hidden
    assert not redactor.knows_any
    redactor.learn("hunter2")
    assert redactor.knows_any


@pytest.mark.parametrize(
    ("text", "limit", "said"),
    [
        ("port 21344 failed: Connection reset", 35, "port 21344 failed: Connection reset"),
        ("port 21344 failed: Connection reset", 33, "port 21344 failed: Connection…"),
        ("port 21344 failed: Connection reset", 29, "port 21344 failed: Connection…"),
        ("port 21344 failed: Connection reset", 22, "port 21344 failed:…"),
        ("a word-of-more-than-half-of-the-text", 20, "a word-of-more-than-…"),
        ('{"status":"unavailable"}', 10, '{"status":…'),
    ],
)
def test_a_shortened_text_ends_with_a_whole_word_and_says_that_it_is_shortened(text, limit, said):
    assert excerpt(text, limit) == said


def test_a_secret_at_the_cut_is_hidden():
    redactor = Redactor(["hunter2-of-the-database"])
    assert excerpt("user admin, password hunter2-of-the-database", 30).endswith("***…")
    assert redactor.text("hunter2-of-the-database") == "***"


def test_of_a_long_text_the_beginning_and_the_end_are_kept_and_the_gap_is_counted():
    assert both_ends("a" * 20, 20) == "a" * 20
    assert both_ends("b" * 50 + "m" * 1234 + "e" * 50, 100) == f"{'b' * 50}\n… (1,234 characters left out) …\n{'e' * 50}"


def test_no_part_of_a_secret_is_left_at_either_end_of_the_gap():
    redactor = Redactor(["hunter2-of-the-database"])
    for at in range(60):
        text = both_ends("x" * at + "hunter2-of-the-database" + "y" * 100, 60)
        assert "hunter" not in text
        assert "database" not in text
    assert redactor.knows_any
