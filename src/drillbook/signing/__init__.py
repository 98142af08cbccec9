"""Signatures by SSH keys (`ssh-keygen -Y`), and the account that runs this process.

Lives here: keys, signatures, texts that a named person signs.
Lives elsewhere: what is signed: runs (`attestation`), approvals (`plan.approval`), backups (`sdk.vouchers`).
"""
