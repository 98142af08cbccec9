"""Drivers of the DB-API: which modules are imported, the styles of their parameters, and calls with a time limit."""

import sys
import threading
from types import SimpleNamespace

import pytest

from drillbook.systems.sql import driver
from tests.systems.refusals import refused_until


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_driver", "is not installed"),
        ("json", "not a driver: it does not implement the DB-API"),
        ("evil", "is not an installed package"),
    ],
)
def test_only_installed_drivers_are_imported(tmp_path, monkeypatch, name, said):
    (tmp_path / "evil.py").write_text("apilevel, paramstyle = '2.0', 'qmark'\nraise SystemExit('it was run')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = [name, "sqlite3"]
    refused_until(lambda: driver.load(names[0]), said, lambda: names.pop(0))
    assert "evil" not in sys.modules


def test_every_parameter_style_of_the_db_api():
    def of(style):
        return driver.statement(SimpleNamespace(paramstyle=style), "a = :run, b = :number", run="r", number=3)

    assert of("qmark") == ("a = ?, b = ?", ("r", 3))
    assert of("format") == ("a = %s, b = %s", ("r", 3))
    assert of("numeric") == ("a = :1, b = :2", ("r", 3))
    assert of("named") == ("a = :run, b = :number", {"run": "r", "number": 3})
    assert of("pyformat") == ("a = %(run)s, b = %(number)s", {"run": "r", "number": 3})


def test_the_result_and_the_error_of_a_call_come_back():
    worker = driver.Worker()
    assert worker.run(lambda: 7, 30) == 7
    with pytest.raises(ZeroDivisionError):
        worker.run(lambda: 1 / 0, 30)
    assert worker.alive
    worker.end()


def test_a_call_that_hangs_is_left_and_the_thread_ends_after_it():
    """A driver without a time limit holds its own thread, and not the one that waits for it."""
    worker, answer, closed = driver.Worker(), threading.Event(), threading.Event()
    with pytest.raises(TimeoutError):
        worker.run(answer.wait, 0.05)
    worker.end(closed.set)
    assert worker.alive
    assert not closed.is_set()
    answer.set()
    worker._thread.join(30)
    assert closed.is_set()
    assert not worker.alive
