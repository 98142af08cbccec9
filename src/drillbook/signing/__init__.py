"""Signatures with SSH keys (`ssh-keygen -Y`), and the account that runs this process.

Lives here: keys, signatures, texts that a named person signs. Lives elsewhere: the signed things, which are runs
(`attestation`), approvals (`plan.approval`) and backups (`sdk.vouchers`).
"""
