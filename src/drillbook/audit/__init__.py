"""The audit of a period: all runs of it, whether their record is whole, and the pages that say so. See docs/audit.md.

Lives here: the chain over all runs, periods, coverage, trends, controls, HTML and Markdown of an audit.
Lives elsewhere: one run's signature (`attestation`), one run's report (`report`), the task `audit` (`cli`).
"""
