"""Import path of the tasks. The file `tasks.py` of a project imports this module. The tasks themselves are in
`drillbook.cli`.
"""

from drillbook.cli import invoke_mistakes
from drillbook.cli.tasks import namespace

__all__ = ["main", "namespace"]

if invoke_mistakes.is_invoke():
    invoke_mistakes.tell_broken_tasks()


def main() -> None:
    """Run the program ``drillbook``."""
    from drillbook.cli import program  # noqa: PLC0415  keeps start-up fast

    program.main()
