"""Exit statuses and messages of restic: which of them are about the backup, and which are not."""

from datetime import UTC, datetime, timedelta

import pytest

from drillbook.errors import CommandFailed, CouldNotVerify, StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Deadline, Target
from drillbook.systems.restic.repository import Lock, Repository

HOST = LocalHost("here", target=Target(name="here", local=True))


@pytest.fixture
def restic(tmp_path):
    """Repository whose `restic` is a script."""

    def made(script, cache=""):
        (program := tmp_path / "restic").write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

        def run(*argv, **options):
            env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RESTIC_PASSWORD_COMMAND": "of the host's own job"}
            return HOST.run(argv, deadline=Deadline.after(30), env=env, **options)

        return Repository("files", "here", run, cache, {"RESTIC_REPOSITORY": "/srv/r", "RESTIC_PASSWORD": "pass word"})

    return made


def told(repository, output="shown"):
    with pytest.raises((StepFailed, CouldNotVerify, CommandFailed)) as failure:
        repository.call("check", output=output)
    findings = getattr(failure.value, "findings", ())
    return type(failure.value), [(found.code, found.measured) for found in findings], str(failure.value)


@pytest.mark.parametrize(
    ("status", "code"), [(1, "backup-damaged"), (10, "backup-missing"), (11, "backup-locked"), (12, "backup-key-lost")]
)
def test_a_failure_of_the_repository_is_a_finding(restic, status, code):
    kind, findings, _ = told(restic(f"echo 'it does not work' >&2; exit {status}"))
    assert (kind, [code for code, _ in findings]) == (StepFailed, [code])


@pytest.mark.parametrize(
    "said", ["dial tcp 10.0.0.7:443: connection refused", "write /x: no space left on device", "permission denied"]
)
def test_a_failure_of_the_network_or_the_host_is_no_finding(restic, said):
    kind, _, text = told(restic(f"echo 'Fatal: {said}' >&2; exit 1"))
    assert kind is CouldNotVerify
    assert said in text


@pytest.mark.parametrize("script", ["exit 127", "exit 126", "kill -9 $$"])
def test_a_restic_that_did_not_run_is_no_finding(restic, script):
    assert told(restic(script))[0] is CommandFailed


def test_messages_are_one_line_without_repetitions_also_those_in_json(restic):
    message = r'{"message_type":"error","error":{"message":"pack \u003cab\u003e is\nbroken"}}'
    script = "\n".join(f"printf '%s\\n' '{line}' >&2" for line in (message, "again", "again", "There were 2 errors"))
    _, [(_, measured)], _ = told(restic(f"{script}\nexit 1"))
    assert measured == "pack <ab> is broken; again"
    assert "status 1 and printed no message" in told(restic("exit 1"))[2]


def test_restic_gets_the_variables_of_the_source_alone_and_takes_no_lock(restic):
    script = 'echo "$RESTIC_REPOSITORY|$RESTIC_PASSWORD|${RESTIC_PASSWORD_COMMAND-unset}|$*"'
    assert restic(script).call("snapshots").text == "/srv/r|pass word|unset|snapshots --no-lock --no-cache"
    assert restic(script, cache="/c").call("check").text.endswith("|check --no-lock --cache-dir /c")
    assert restic("echo much").call("check", output="dropped").text == ""


def test_files_and_links_are_counted_and_folders_are_not(restic):
    rows = '{"struct_type":"snapshot"}\n' + "\n".join(f'{{"type":"{kind}"}}' for kind in ("file", "dir", "symlink", "file"))
    assert restic(f"cat <<'END'\n{rows}\nEND").count("ab12", "/srv") == 3
    with pytest.raises(StepFailed):
        restic(f"cat <<'END'\n{rows}\nEND\necho broken >&2; exit 1").count("ab12", "/srv")


def test_a_snapshot_that_is_ignored_makes_the_list_incomplete(restic):
    with pytest.raises(StepFailed, match='Ignoring "ab"') as failure:
        restic("""echo 'Ignoring "ab": load failed' >&2; echo '[]'""").snapshots()
    assert [found.code for found in failure.value.findings] == ["backup-damaged"]
    assert restic("echo null").snapshots() == [], "as restic prints it for an empty repository"
    with pytest.raises(CouldNotVerify, match="the list of snapshots that restic printed cannot be parsed"):
        restic("""echo '[{"id": 1}]'""").snapshots()


def test_a_lock_that_nobody_renews_is_abandoned():
    def lock(minutes, **fields):
        moment = datetime.now(UTC) - timedelta(minutes=minutes)
        return Lock(time=moment, exclusive=False, hostname="web-9", username="backup", pid=7).model_copy(update=fields)

    assert [lock(minutes).stale for minutes in (5, 29, 31)] == [False, False, True]
    assert str(lock(0)).startswith("lock held by process 7 on web-9 (user backup), last renewed at ")
    assert str(lock(0, exclusive=True)).startswith("exclusive lock held")
