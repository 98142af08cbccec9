"""``python -m drillbook.cli`` is the program ``drillbook``."""

from drillbook.cli.tasks import main

main()
