"""Telling the inventory's contacts that a drill starts, ends, was aborted, or left something.

Nobody waits for an answer while things are put back: each message goes out from a thread of its own, and one that could
not be delivered is a finding of low severity, never more.
"""
