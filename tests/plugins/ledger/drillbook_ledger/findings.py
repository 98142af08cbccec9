"""Findings on ledgers."""

from drillbook.sdk import HIGH, Kind

FINDINGS = {
    "ledger-twice": Kind(HIGH, "Two lines of the ledger bear one number", "Look in the file which of them is older."),
}
