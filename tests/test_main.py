"""The program's entry: what runs, and what each kind of failure says and returns."""

import argparse
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import main

ROOT = Path(__file__).parents[1]
Run = Callable[[argparse.Namespace], int]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], None]:
    """Stand in for the engine's commands: one command, ``work``, that runs what is given."""

    def give(run: Run) -> None:
        def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
            commands.add_parser("work").set_defaults(run=run)

        _stand_in(monkeypatch, "engine", "cli", add_commands=add_commands)

    return give


def _stand_in(monkeypatch: pytest.MonkeyPatch, package: str, name: str, **content: object) -> None:
    module = types.ModuleType(f"{package}.{name}")
    for key, value in content.items():
        setattr(module, key, value)
    parent = __import__(package)
    # The attribute first: asking for it looks for the module.
    monkeypatch.setattr(parent, name, module, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.parametrize("words", [[], ["my net.gfx"], ["./plain"], ["/a/folder/net"]])
def test_no_word_or_a_path_opens_the_window(
    monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    opened: list[list[str]] = []

    def run(given: list[str]) -> int:
        opened.append(given)
        return 7

    _stand_in(monkeypatch, "explorer", "app", run=run)
    assert main.main(words) == 7
    assert opened == [words]


def test_a_command_gives_its_exit_code(command: Callable[[Run], None]) -> None:
    command(lambda chosen: 5)
    assert main.main(["work"]) == 5


@pytest.mark.parametrize("words", [["wrk"], ["work", "--what"], ["--what"], ["a.gfx", "b.gfx"]])
def test_wrong_usage_is_code_2(
    command: Callable[[Run], None], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    command(lambda chosen: 0)
    with pytest.raises(SystemExit) as left:
        main.main(words)
    assert left.value.code == main.WRONG_USAGE
    assert "usage: gradient-flow-explorer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.png"), 3, "'a.png'"),
        (ValueError("a.png: expected a picture,\n received text"), 3, "a.png: expected a picture"),
        (KeyError("conv1"), 1, "unexpected KeyError: 'conv1'"),
        (MemoryError(), 1, "unexpected MemoryError"),
    ],
)
def test_a_failure_is_one_line_and_a_code(
    command: Callable[[Run], None],
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    said: str,
) -> None:
    def fails(chosen: argparse.Namespace) -> int:
        raise error

    command(fails)
    assert main.main(["work"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gradient-flow-explorer: ")
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_the_traceback_is_shown_when_asked_for(
    command: Callable[[Run], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(chosen: argparse.Namespace) -> int:
        raise KeyError("conv1")

    monkeypatch.setenv("GRADIENT_FLOW_TRACEBACK", "1")
    command(fails)
    assert main.main(["work"]) == main.FAILED
    assert "in fails" in capsys.readouterr().err


def test_ctrl_c_is_quiet(
    command: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(chosen: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    command(interrupted)
    assert main.main(["work"]) == main.INTERRUPTED
    assert capsys.readouterr() == ("", "")


def test_help_names_the_commands_and_the_codes(
    command: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(lambda chosen: 0)
    with pytest.raises(SystemExit) as left:
        main.main(["--help"])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    for word in ("work", "tour", "exit codes", "bad input"):
        assert word in printed


def test_the_tour_gets_its_folder(
    command: Callable[[Run], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    command(lambda chosen: 0)
    folders: list[Path] = []

    def run(chosen: argparse.Namespace) -> int:
        folders.append(chosen.out)
        return 0

    _stand_in(monkeypatch, "explorer", "tour", run=run)
    assert main.main(["tour", "--out", "some where"]) == 0
    assert main.main(["tour"]) == 0
    assert folders == [Path("some where"), Path("tour")]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is a screen")
def test_without_a_screen_the_window_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert main.main([]) == main.FAILED
    assert "tour --out tour" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX pipe")
def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    """`gradient-flow-explorer step ... | head` ends quietly."""
    script = (
        "import sys, types, main\n"
        "module = types.ModuleType('engine.cli')\n"
        "def run(chosen):\n"
        "    for number in range(100_000): print(number)\n"
        "    return 0\n"
        "module.add_commands = lambda c: c.add_parser('work').set_defaults(run=run)\n"
        "import engine\n"
        "engine.cli = sys.modules['engine.cli'] = module\n"
        "sys.exit(main.main(['work']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == main.OUTPUT_CLOSED
