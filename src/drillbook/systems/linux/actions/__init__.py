"""Actions on a Linux host. Each family of actions has a module or a package of its own."""
