"""Tasks for `invoke`: see `invoke --list`."""

from drillbook import tasks

namespace = tasks.namespace()
