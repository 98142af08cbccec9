"""Programs sent through standard input: the command starts exactly the named program, as rules of sudo require."""

import subprocess

import pytest

from drillbook.sdk import sent_program

PYTHON = b"import sys\nprint(sys.argv[1:], sys.stdin.buffer.read())\n"
SHELL = b'printf "%s|" "$@"; cat'
EVIL_PYTHON = b"print('evil')\n"
EVIL_SHELL = b"echo evil"


def run(argv, stdin):
    return subprocess.run(argv, input=stdin, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("begin", "program", "answer"),
    [
        (sent_program.python, PYTHON, b"['a b', \"it's\"] b'rest\\n'\n"),
        (sent_program.shell, SHELL, b"a b|it's|rest\n"),
    ],
    ids=["python", "shell"],
)
def test_the_program_runs_with_its_arguments_and_reads_the_rest(begin, program, answer):
    done = run((*begin(program), "a b", "it's"), program + b"rest\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, answer, b"")


@pytest.mark.parametrize(
    ("begin", "program", "other"),
    [(sent_program.python, PYTHON, EVIL_PYTHON), (sent_program.shell, SHELL, EVIL_SHELL)],
    ids=["python", "shell"],
)
@pytest.mark.parametrize("ending", [b"", b"\n#"], ids=["shorter", "as long"])
def test_another_program_is_not_started(begin, program, other, ending):
    sent = other + (ending.ljust(len(program) - len(other), b"#") if ending else b"")
    done = run(begin(program), sent)
    assert done.returncode != 0
    assert b"evil" not in done.stdout
    assert b"standard input is another program" in done.stderr


def test_a_shell_program_that_ends_with_a_newline_is_refused():
    with pytest.raises(ValueError, match="newline"):
        sent_program.shell(SHELL + b"\n")
