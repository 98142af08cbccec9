"""Start the program ``drillbook``: ``python -m drillbook.cli``."""

from drillbook.cli.program import main

main()
