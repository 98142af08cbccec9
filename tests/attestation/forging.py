"""Tools of a forger who can write below ``reports/`` but has no trusted key."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from drillbook.signing import keys
from drillbook.values import canonical, digest


def chained(events):
    """Return ``events`` as lines of a journal, with new numbers and matching hashes."""
    prev, made = events[0]["prev"] if events else None, []
    for place, event in enumerate(events):
        content = {**event, "seq": place, "prev": prev}
        content.pop("hash", None)
        prev = digest(canonical(content))
        made.append(canonical(content | {"hash": prev}) + b"\n")
    return b"".join(made)


def rechained(lines, number, edit):
    """Return the journal as a forger without the key would write it: one event is changed, and all later hashes are
    recomputed.
    """
    events = [json.loads(line) for line in lines]
    edit(events[number])
    return chained(events)


def journal(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "journal.jsonl").read_bytes().splitlines()]


def throw_away_key(folder: Path) -> Path:
    """A private key that nobody trusts."""
    path = folder / "thief"
    if not path.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


def attest(run: Path, key: Path | None = None, /, **said) -> None:
    """Rewrite the attestation to match the folder in its current state, with the fields ``said``, and sign it with
    ``key``.
    """
    content = json.loads((run / "attestation.json").read_text())
    events = journal(run) if (run / "journal.jsonl").exists() else []
    if events:
        content |= {"events": len(events), "head": events[-1]["hash"]}
    for name, known in content["files"].items():
        if (run / name).is_file():
            data = (run / name).read_bytes()
            known.update(sha256=digest(data), bytes=len(data))
    if key:
        public = keys.public_of(key)
        content["key"] = {"public": public, "fingerprint": keys.fingerprint(public)}
    text = (json.dumps(content | said, indent=2) + "\n").encode()
    (run / "attestation.json").write_bytes(text)
    (run / "attestation.json.sig").unlink(missing_ok=True)
    if key:
        (run / "attestation.json.sig").write_bytes(keys.sign(text, key))
