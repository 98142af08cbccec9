"""The commit-msg hook: the subject of a commit names the part and is an imperative."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("engine: ask hosts for readiness in parallel\n\nEach host took its time.\n", ""),
        ("sdk/store, postgres: seed the pool\n", ""),
        ("# a comment of Git\nREADME: begin with the wheel\n", ""),
        ("Merge branch 'main'\n", ""),
        ('Revert "engine: ask hosts"\n', ""),
        ("fixup! engine: ask hosts\n", ""),
        ("engine: " + "a" * 64 + "\n", ""),
        ("engine: " + "a" * 65 + "\n", "the subject has 73 characters, 1 too many"),
        ("Ask hosts for readiness in parallel\n", "is not `part: imperative`"),
        ("engine: Ask hosts\n", "is not `part: imperative`"),
        ("\n", "is not `part: imperative`"),
        ("engine: ask hosts.\n", "ends with a full stop"),
        ("engine: adds a host\n", "'adds' is no imperative"),
        ("engine: added a host\n", "'added' is no imperative"),
        ("engine: adding a host\n", "'adding' is no imperative"),
        ("engine: pass the host\n", ""),
    ],
)
def test_the_hook_of_commit_messages_refuses_other_subjects(message, said, tmp_path):
    (tmp_path / "message").write_text(message)
    entry = next(
        hook["entry"]
        for hook in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
        if hook["id"] == "commit-subject"
    )
    argv = [sys.executable, *entry.split()[1:], str(tmp_path / "message")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, bool(done.stderr)) == (bool(said), bool(said)), done.stderr
    assert said in done.stderr
