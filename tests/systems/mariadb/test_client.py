"""Client program of MariaDB: its password, its answers as XML, and its errors."""

import threading
from pathlib import Path

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.systems.mariadb import client
from drillbook.systems.mariadb.client import SqlError, connected
from drillbook.values import Secret
from tests.systems.mariadb import site


def test_a_password_is_in_no_argument_and_no_environment(server, tmp_path):
    (tmp_path / "word").write_text(site.PASSWORD)
    place = site.estate(tmp_path, server, {"kind": "mariadb_dump", "at": str(tmp_path)})
    login = place.inventory.services["database"].model_copy(
        update={"user": "app", "password": Secret(source="file", name=str(tmp_path / "word"))}
    )
    place.inventory.services["database"] = login
    seen, done = [], threading.Event()

    def look():
        while not done.is_set():
            for path in Path("/proc").glob("[0-9]*"):
                try:
                    words = (path / "cmdline").read_bytes()
                    if b"mariadb" in words and str(tmp_path).encode() in words:
                        seen.append(words + (path / "environ").read_bytes())
                except OSError:
                    continue

    looking = threading.Thread(target=look)
    looking.start()
    try:
        assert place.run("mariadb.sql", service="database", query="SELECT SLEEP(0.5), CURRENT_USER()")["rows"] == [
            [0, "app@localhost"]
        ]
    finally:
        done.set()
        looking.join()
    assert seen
    assert not [words for words in seen if site.PASSWORD.encode() in words]
    assert not list(tmp_path.rglob("*.cnf"))


def login(server, tmp_path, word, **fields):
    """Service of the account `app` with a password."""
    (tmp_path / "word").write_text(word)
    place = site.estate(tmp_path, server, {"kind": "mariadb_dump", "at": str(tmp_path)})
    password = Secret(source="file", name=str(tmp_path / "word"))
    return place.ctx(), place.inventory.services["database"].model_copy(
        update={"user": "app", "password": password, **fields}
    )


def test_a_password_with_a_line_break_is_refused(server, tmp_path):
    ctx, service = login(server, tmp_path, "two\nlines")
    with (
        pytest.raises(CouldNotVerify, match="the password of database contains a line break") as told,
        connected(ctx, service),
    ):
        pass
    assert told.value.hint


def test_values_that_look_like_the_markup_of_an_answer_stay_values(server, tmp_path):
    value = '</field><field name="x">&lt;\n\t\'`\\'
    with connected(*login(server, tmp_path, site.PASSWORD)) as asked:
        assert asked.rows(f"SELECT {client.text(value)} AS {client.name('a `b`<c>')}, NULL AS n, '' AS e") == [
            {"a `b`<c>": value, "n": None, "e": ""}
        ]


def test_the_first_error_ends_the_statements_unless_they_are_forced(server, tmp_path):
    statements = "SELECT 1 AS a; SELECT nothing; SELECT 2 AS a"
    with connected(*login(server, tmp_path, site.PASSWORD)) as asked:
        with pytest.raises(SqlError, match="Unknown column 'nothing'") as told:
            asked.results(statements)
        assert not told.value.lost
        results, errors = asked.forced(statements)
    assert [result.rows for result in results if result.rows] == [[[("a", "1")]], [[("a", "2")]]]
    assert "Unknown column 'nothing'" in errors


def test_a_server_that_does_not_answer_is_lost(server, tmp_path):
    with connected(*login(server, tmp_path, site.PASSWORD, address=f"{tmp_path}/none")) as asked:
        for run in (asked.results, asked.forced, asked.answered):
            with pytest.raises(SqlError) as told:
                run("SELECT 1")
            assert told.value.lost


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", 0), ("-12", -12), ("007", "007"), ("1" * 16, "1" * 16), ("1.50", "1.50"), (None, None), ("\udcff", "\\udcff")],
)
def test_only_a_whole_number_that_json_keeps_becomes_a_number(value, expected):
    assert client.plain(value) == expected
