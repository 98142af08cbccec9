"""Reports, made from nothing but the journal of a run and its verdict. Each format has one file.

Lives here: HTML, Markdown, JUnit, timeline, index of runs, and the words and rows that all formats share.
Lives elsewhere: figures and verdicts (`judge`), the audit of a period (`audit`).
"""
