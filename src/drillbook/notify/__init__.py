"""Messages to the inventory's contacts: a drill starts, ends, was aborted, or left something.

Lives here: who is told what, the words of a message, and sending it by apprise.
Lives elsewhere: contacts themselves (`inventory`), reports (`report`).
"""
