"""Signatures with SSH keys (`ssh-keygen -Y`), and the account that runs this process.

Lives here: keys, signatures, texts that a named person signs.

Lives elsewhere: what is signed. Runs are in `attestation`, approvals in `plan.approval`, and backups in `sdk.vouchers`.
"""
