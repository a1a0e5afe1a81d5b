"""The commands that need no screen: step, train, export, gallery, inspect, check, run, operators.

``main`` parses the words and turns errors into one line and an exit code; a command here prints
its results on stdout and returns a code. Parsing must be quick, so that commands import what they
need when they run.
"""

from engine.cli.check import add_check
from engine.cli.common import Commands
from engine.cli.export import add_export
from engine.cli.gallery import add_gallery
from engine.cli.inspect import add_inspect
from engine.cli.operators import add_operators
from engine.cli.run import add_run
from engine.cli.step import add_step
from engine.cli.train import add_train


def add_commands(commands: Commands) -> None:
    """Add the commands; each sets ``run``, which returns the exit code."""
    add_step(commands)
    add_train(commands)
    add_export(commands)
    add_gallery(commands)
    add_inspect(commands)
    add_check(commands)
    add_run(commands)
    add_operators(commands)
