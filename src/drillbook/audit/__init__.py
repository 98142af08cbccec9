"""The audit of a period: a report about all runs in it, and about the integrity of their journals. See docs/audit.md.

Lives here: the chain over all runs, periods, coverage, trends, controls, HTML and Markdown of an audit.
Lives elsewhere: one run's signature (`attestation`), one run's report (`report`), the task `audit` (`cli`).
"""
