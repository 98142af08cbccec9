"""Terminal output of a run: its lines as it goes, the live view, the closing summary.

Lives here: one line an event, the live board, the summary, the commands that help next.
Lives elsewhere: the tasks that print them (`cli`), words that all formats share (`report.wording`).
"""
