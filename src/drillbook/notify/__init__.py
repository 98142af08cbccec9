"""Messages to the contacts of an inventory: a drill starts, ends, is aborted, or leaves changes that were not undone.

Lives here: the selection of contacts, the text of a message, and sending messages with apprise.
Lives elsewhere: contacts themselves (`inventory`), reports (`report`).
"""
