"""Tasks for `invoke`: see `invoke --list`."""

from drillbook.tasks import namespace

namespace = namespace()
