"""SDK: the interfaces that every system implements, both built-in systems and plugins.

Lives here: Host, Action, Probe, Service, Context, Undo, Store, backups in a store, service managers, limits for answers.
Lives elsewhere: every system (`systems`), implementations of hosts (`hosts`), the callers of actions (`engine`).
"""
