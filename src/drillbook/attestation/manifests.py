"""Signs backup manifests with the key that signs runs, and verifies such signatures."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from drillbook.attestation import signature_check
from drillbook.attestation.signature_check import State
from drillbook.signing import keys
from drillbook.signing.keys import KeyProblem


@dataclass(frozen=True, slots=True)
class ManifestKeys:
    """Signs backup manifests, and verifies the signatures of manifests. It uses the keys of the project in ``root``."""

    root: Path

    def sign(self, manifest: bytes) -> tuple[bytes, str]:
        """Sign ``manifest`` with the key that signs runs.

        Return the signature and an empty text. If signing fails, return empty bytes and the reason.
        """
        try:
            key, _ = keys.ready_key(self.root)
            return keys.sign(manifest, key), ""
        except KeyProblem as problem:
            return b"", str(problem)

    def doubt(self, manifest: bytes, signature: bytes | None) -> str:
        """Return a reason to distrust ``manifest``. The result is empty if there is no such reason.

        The signature may be missing, invalid, or made with an untrusted key.
        """
        if signature is None:
            return "the manifest is not signed"
        with tempfile.NamedTemporaryFile(prefix="drillbook-") as file:
            file.write(signature)
            file.flush()
            try:
                fingerprint = keys.signer(manifest, Path(file.name))
                if not fingerprint:
                    return "the signature of the manifest does not match: the manifest was changed after it was signed"
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                state, said = signature_check.who(manifest, Path(file.name), self.root, fingerprint, now)
            except KeyProblem as problem:
                return f"the signature of the manifest could not be checked: {problem}"
        return "" if state is State.VOUCHED else said
