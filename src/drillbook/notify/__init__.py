"""Sends messages to the contacts of an inventory when a drill starts, ends, is aborted, or leaves changes that were not
undone.

Lives here: the selection of contacts, the texts of messages, and sending messages with apprise.
Lives elsewhere: the contacts themselves (`inventory`), reports (`report`).
"""
