"""Entry point of ``python -m drillbook.cli``, which starts the program ``drillbook``."""

from drillbook.cli.program import main

main()
