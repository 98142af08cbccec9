"""Hints for errors in the syntax of YAML."""

from __future__ import annotations


def hint_for(problem: str) -> str:
    """Return a hint for a common syntax error. The result is empty for other errors."""
    for part, hint in (
        ("mapping values are not allowed", "put a text that contains `: ` in quotation marks"),
        ("'\\t'", "indent with spaces, not tabs"),
        ("expected ',' or '}'", "close the `{`, or put a text that contains `{`, `,` or `}` in quotation marks"),
        ("expected ',' or ']'", "close the `[`, or put a text that contains `[`, `,` or `]` in quotation marks"),
        ("could not find expected ':'", "write `key: value`, with a space after the colon, here and in the line above"),
        ("expected <block end>", "indent all entries of one list or mapping equally, or close an open quotation mark"),
        ("end of stream", "a quotation mark is not closed"),
        ("undefined alias", "put a text that begins with * in quotation marks"),
        ("cannot start any token", "put a text that begins with this character in quotation marks"),
        ("but found another document", "a file must contain only one document: remove the line `---`"),
        ("unknown escape character", "in double quotes write \\\\ for a backslash, or use single quotes"),
    ):
        if part in problem:
            return hint
    return ""
