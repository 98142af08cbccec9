"""The audit of a period: what all runs of it showed, and whether the record of them is whole. See docs/audit.md."""
