"""Runs of pgbackrest: its options in the environment, and its messages as errors."""

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Deadline, Target
from drillbook.systems.pgbackrest.programs import Program, message, variable
from tests.systems.postgres.site import secret


def program(**options):
    host = LocalHost("here", target=Target(name="here", local=True))
    return Program("nightly", host, Deadline.after(60), options)


@pytest.mark.parametrize(
    ("said", "first"),
    [
        ("P00   WARN: a warning\nP00  ERROR: [055]: unable to open\n", "[055]: unable to open"),
        ("ERROR: [032]: key '2' is not valid for 'repo' option", "[032]: key '2' is not valid for 'repo' option"),
        ("", "it gave no message"),
    ],
)
def test_the_message_of_an_error_is_its_first_line(said, first):
    assert message(said) == first


def test_options_are_in_the_environment_and_never_in_the_list_of_processes():
    word = secret("hidden-word", "TEST_PROGRAMS")
    asked = program(**{"repo1-cipher-pass": word, "stanza": "main"})
    script = 'tr "\\0" "\\n" < /proc/$$/cmdline; cat; env | grep ^PGBACKREST_ | sort'
    said = asked.run("sh", "-c", script, stdin="given\n", options={"stanza": "other"}).check().text
    arguments, _, environment = said.partition("given\n")
    assert "hidden-word" not in arguments
    assert environment.splitlines() == [
        "PGBACKREST_LOG_LEVEL_CONSOLE=off",
        "PGBACKREST_LOG_LEVEL_FILE=off",
        "PGBACKREST_LOG_LEVEL_STDERR=warn",
        "PGBACKREST_LOG_TIMESTAMP=n",
        "PGBACKREST_REPO1_CIPHER_PASS=hidden-word",
        "PGBACKREST_STANZA=other",
    ]
    assert variable("repo1-path") == "PGBACKREST_REPO1_PATH"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("ERROR: [028]: checksum mismatch", "backup-damaged"),
        ("ERROR: [025]: JsonFormatError: invalid", "backup-damaged"),
        ("ERROR: [055]: unable to open missing file '/r/backup/main/backup.info' for read", "backup-missing"),
        ("ERROR: [095]: unable to flush", "backup-key-lost"),
        ("ERROR: [029]: CryptoError: the pass phrase", "backup-key-lost"),
    ],
)
def test_a_message_about_the_backup_is_a_finding(said, code):
    failure = program().failed("verify", said.encode())
    assert isinstance(failure, StepFailed)
    assert [found.code for found in failure.findings] == [code]
    assert failure.message.startswith("here: pgbackrest verify of nightly: [0")


def test_another_message_verifies_nothing():
    failure = program().failed("info", "ERROR: [055]: unable to open missing file '/etc/pgbackrest.conf' for read")
    assert isinstance(failure, CouldNotVerify)
    assert failure.hint


def test_a_wrong_key_that_the_caller_found_is_a_lost_key():
    failure = program().failed("info", "ERROR: [026]: key/value found outside of section", wrong_key=True)
    assert [found.code for found in failure.findings] == ["backup-key-lost"]
