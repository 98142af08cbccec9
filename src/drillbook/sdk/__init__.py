"""The SDK: all that a system is written against, built in or a plugin.

Lives here: Host, Action, Probe, Service, Context, Undo, Store, backups in a store, service managers, budgets of answers.
Lives elsewhere: every system (`systems`), carriers of hosts (`hosts`), whoever calls actions (`engine`).
"""
