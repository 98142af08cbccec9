"""Terminal output of a run: progress lines, the live view, and the final summary.

Lives here: one line for each event, the live board, the summary, the suggested next commands.
Lives elsewhere: the tasks that print them (`cli`), words that all formats share (`report.wording`).
"""
