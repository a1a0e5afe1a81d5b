"""Starts the window, or one of the commands that need no screen.

Nothing here imports Qt or NumPy at the top: a spawned process imports this file again, and
``--help`` has to answer at once.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

PROGRAM = "gradient-flow-explorer"
VERSION = "0.1.0"

OK = 0
FAILED = 1
WRONG_USAGE = 2
BAD_INPUT = 3
INTERRUPTED = 130
OUTPUT_CLOSED = 141

EPILOG = f"""\
Without a command the window opens, with FILE in it if one is given.

exit codes:
  {OK}    done
  {FAILED}    failed for a reason inside the program
  {WRONG_USAGE}    wrong usage: unknown command, option or number of arguments
  {BAD_INPUT}    bad input: a file that cannot be read or written, or does not fit the network
  {INTERRUPTED}  interrupted (Ctrl-C)

GRADIENT_FLOW_TRACEBACK=1 shows the traceback of a failure.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with ``arguments`` (default: the command line's); return its exit code.

    Argument parsing raises SystemExit, with code 0 after ``--help`` and ``--version`` and with
    code 2 after wrong usage; every other failure is one line on stderr and a returned code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        # The window does not wait for the commands' parser, which imports the engine.
        if not words or _is_file(words):
            return _open_window(words)
        # A console that lacks a sign such as ‖ shows ? for it; that is no reason to stop.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        chosen = _parser().parse_args(words)
        code: int = chosen.run(chosen)
        # A closed reader must show here, inside the try, not at the interpreter's exit.
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone (as in `... | head`): say nothing, and nothing at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    except (OSError, ValueError) as error:
        return _report(str(error), BAD_INPUT)
    except Exception as error:
        return _report(f"unexpected {type(error).__name__}: {error}", FAILED)


def _is_file(words: Sequence[str]) -> bool:
    """Whether the words are one file to open: a word with a suffix or a folder is no command."""
    if len(words) != 1 or words[0].startswith("-"):
        return False
    return Path(words[0]).suffix != "" or "/" in words[0] or os.sep in words[0]


def _open_window(words: list[str]) -> int:
    if not _has_screen():
        # The window itself says what is wrong with a file, and opens all the same.
        if words and not Path(words[0]).is_file():
            what = "a folder" if Path(words[0]).is_dir() else "none of that name"
            return _report(
                f"{words[0]}: expected a project or an ONNX file, received {what}. Check the name.",
                BAD_INPUT,
            )
        return _report(
            "no screen: neither DISPLAY nor WAYLAND_DISPLAY is set. "
            f"Draw the tour instead: {PROGRAM} tour --out tour",
            FAILED,
        )
    from explorer import app

    return app.run(words)


def _has_screen() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    return any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))


def _run_tour(chosen: argparse.Namespace) -> int:
    # The tour draws the real views, but never on the user's screen.
    os.environ["QT_QPA_PLATFORM"] = os.environ.get("QT_QPA_PLATFORM") or "offscreen"
    from explorer import tour

    return tour.run(chosen)


def _parser() -> argparse.ArgumentParser:
    from engine import cli

    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [-h] [--version] [FILE | COMMAND ...]",
        description="Build a convolutional network and walk through its forward and backward "
        "pass, one operation at a time.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    commands = parser.add_subparsers(
        prog=PROGRAM, title="commands", metavar="COMMAND", required=True
    )
    cli.add_commands(commands)
    tour = commands.add_parser(
        "tour",
        help="draw the program's views through one forward and backward pass",
        description="Draw the program's own views, offscreen, through one forward and backward "
        "pass of one digit: numbered PNG pictures and an index.html.",
    )
    tour.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("tour"),
        help="folder for the pictures, made if it is not there (default: %(default)s)",
    )
    tour.set_defaults(run=_run_tour)
    return parser


def _report(message: str, code: int) -> int:
    """Say one line on stderr, with the traceback only where it is asked for."""
    print(f"{PROGRAM}: {' '.join(message.split())}", file=sys.stderr)
    if os.environ.get("GRADIENT_FLOW_TRACEBACK") and sys.exc_info()[0] is not None:
        import traceback

        traceback.print_exc()
    return code


if __name__ == "__main__":
    if getattr(sys, "frozen", False):
        # A frozen Windows build starts spawned processes through this very file.
        import multiprocessing

        multiprocessing.freeze_support()
    sys.exit(main())
