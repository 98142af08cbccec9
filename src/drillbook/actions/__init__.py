"""The actions, one module a family; the name of an action is its place."""
