"""The start script, run with stand-ins for Python, apt-get and ldd that log what they are asked."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the script is for POSIX shells")

ROOT = Path(__file__).parents[1]
TOOLS = "sh cat cksum cp dirname find head kill mkdir mv rm sed sort touch tr"

# Answers as Python does to the few things that the script asks; the log gets one line for each
# that changes or starts something.
PYTHON = """\
#!/bin/sh
case "$1 $2" in
"-c "*"import venv, ensurepip"*) [ -e "$STATE/venv-{name}" ] || exit 1; exit ;;
"-c "*print*) echo {version}; exit ;;
"-c "*version_info*) exit {unusable} ;;
"-c "*) exit 0 ;;
esac
line="{name}"
for word in "$@"; do line="$line|$word"; done
echo "$line" >>"$STATE/log"
case "$2" in
venv)
    mkdir -p "$4/bin"
    cp "$0" "$4/bin/python"
    printf '#!/bin/sh\\necho lint-imports >>"$STATE/log"\\n[ "$FAILS" != lint-imports ]\\n' \\
        >"$4/bin/lint-imports"
    sed -i "s/^line=.*/line=venv/" "$4/bin/python"
    chmod +x "$4/bin/lint-imports"
    ;;
pip)
    [ -z "$PIP_FAILS" ] || exit 1
    mkdir -p "${{0%/bin/python}}/lib/python3.12/site-packages/PySide6/Qt/plugins/platforms"
    touch "${{0%/bin/python}}/lib/python3.12/site-packages/PySide6/Qt/plugins/platforms/libqxcb.so"
    ;;
ruff | mypy | pytest) [ "$FAILS" != "$2" ] && [ "$FAILS" != "$2 $3" ] ;;
esac
"""


@dataclass
class Machine:
    """A project folder and a PATH that hold nothing but stand-ins and a few plain tools."""

    project: Path
    state: Path
    bin: Path
    environment: dict[str, str] = field(default_factory=dict)

    def tool(self, name: str, script: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def python(self, name: str, *, version: str = "3.12", usable: bool, venv: bool = True) -> None:
        """Put a Python of this name on the PATH."""
        path = self.bin / name
        path.write_text(
            PYTHON.format(name=name, version=version, unusable=int(not usable)), encoding="utf-8"
        )
        path.chmod(0o755)
        if venv:
            (self.state / f"venv-{name}").touch()

    def start(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the start script from another folder; by default there is a screen."""
        return subprocess.run(
            [str(self.project / "start"), *arguments],
            cwd=self.state,
            env={
                "PATH": str(self.bin),
                "STATE": str(self.state),
                "HOME": str(self.state),
                "DISPLAY": ":7",
                **self.environment,
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def log(self) -> list[list[str]]:
        """The logged lines since the last call, each as its words."""
        path = self.state / "log"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.split("|") for line in lines]

    @property
    def venv(self) -> Path:
        return self.project / ".venv"

    def opened(self, *arguments: str) -> list[str]:
        return ["venv", str(self.project / "main.py"), *arguments]

    def installed(self, extras: str = "") -> list[str]:
        options = ["--quiet", "--disable-pip-version-check", "--no-input", "--editable"]
        return ["venv", "-m", "pip", "install", *options, f"{self.project}{extras}"]


@pytest.fixture
def bare(tmp_path: Path) -> Machine:
    """A Linux machine with a font and without any Python, the user not being root."""
    machine = Machine(tmp_path / "my project", tmp_path / "state", tmp_path / "bin")
    for folder in (machine.project, machine.state / ".fonts", machine.bin):
        folder.mkdir(parents=True)
    (machine.state / ".fonts" / "a font.ttf").touch()
    shutil.copy(ROOT / "start", machine.project)
    shutil.copy(ROOT / "pyproject.toml", machine.project)
    for tool in [*TOOLS.split(), "chmod"]:
        found = shutil.which(tool)
        assert found is not None, f"the test needs {tool}"
        (machine.bin / tool).symlink_to(found)
    machine.tool("uname", "echo Linux")
    machine.tool("id", "echo 1000")
    machine.tool("ldd", "echo '  libc.so.6 => /lib/libc.so.6 (0x1)'")
    return machine


@pytest.fixture
def machine(bare: Machine) -> Machine:
    """A Linux machine with Python 3.12."""
    bare.python("python3.12", usable=True)
    return bare


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_the_script_is_valid_in_each_shell(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    result = subprocess.run([shell, "-n", str(ROOT / "start")], capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")


def test_first_start_sets_up_and_opens_and_the_second_only_opens(machine: Machine) -> None:
    first = machine.start()
    assert first.returncode == 0, first.stderr
    assert machine.log() == [
        ["python3.12", "-m", "venv", "--without-pip", str(machine.venv)],
        ["venv", "-m", "ensurepip"],
        machine.installed(),
        machine.opened(),
    ]
    assert "about a minute" in first.stderr

    second = machine.start()
    assert (second.returncode, second.stderr) == (0, "")
    assert machine.log() == [machine.opened()]


def test_arguments_go_on_unchanged(machine: Machine) -> None:
    words = ["step", "lenet5", "--image", "my digit.png", "", "*", "$HOME"]
    machine.start()
    machine.log()
    assert machine.start(*words).returncode == 0
    assert machine.log() == [machine.opened(*words)]


def test_the_exit_code_is_the_programs(machine: Machine) -> None:
    machine.start()
    (machine.venv / "bin" / "python").write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    assert machine.start("step").returncode == 3


def test_the_newest_python_is_taken(bare: Machine) -> None:
    for name in ("python3.11", "python3.13", "python3"):
        bare.python(name, usable=True)
    bare.start()
    assert bare.log()[0][0] == "python3.13"


def test_a_python_that_is_too_old_or_broken_is_passed_over(bare: Machine) -> None:
    bare.tool("python3.14", "echo 'no such version is installed' >&2; exit 127")
    bare.python("python3", usable=False)
    bare.python("python", usable=True)
    result = bare.start()
    assert bare.log()[0][0] == "python"
    assert "no such version" not in result.stderr


def test_a_python_with_venv_is_preferred_to_a_newer_without(bare: Machine) -> None:
    bare.python("python3.13", usable=True, venv=False)
    bare.python("python3.11", usable=True)
    bare.start()
    assert bare.log()[0][0] == "python3.11"


def test_without_python_the_message_says_what_to_install(bare: Machine) -> None:
    bare.python("python3", usable=False)
    bare.tool("apt-get", "exit 1")
    result = bare.start()
    assert result.returncode == 1
    assert "no Python 3.11" in result.stderr
    assert "sudo apt-get update && sudo apt-get install python3 python3-venv" in result.stderr
    assert list(bare.venv.iterdir()) == []


def test_missing_venv_module_is_installed_by_root(bare: Machine) -> None:
    bare.python("python3.12", usable=True, venv=False)
    bare.tool("id", "echo 0")
    bare.tool("apt-get", 'echo "apt-get|$*" >>"$STATE/log"; touch "$STATE/venv-python3.12"')
    result = bare.start()
    assert result.returncode == 0, result.stderr
    log = bare.log()
    assert log[0] == ["apt-get", "install -qq -y --no-install-recommends python3.12-venv"]
    assert log[-1] == bare.opened()


def test_missing_venv_module_is_named_to_everybody_else(bare: Machine) -> None:
    bare.python("python3.12", usable=True, venv=False)
    bare.tool("apt-get", 'echo "apt-get|$*" >>"$STATE/log"')
    result = bare.start()
    assert result.returncode == 1
    assert "sudo apt-get update && sudo apt-get install python3.12-venv" in result.stderr
    assert bare.log() == []


def test_a_changed_pyproject_is_installed_again(machine: Machine) -> None:
    machine.start()
    machine.log()
    with (machine.project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    machine.start()
    assert machine.log() == [machine.installed(), machine.opened()]
    machine.start()
    assert machine.log() == [machine.opened()]


def test_a_moved_project_gets_a_new_environment(machine: Machine) -> None:
    machine.start()
    machine.log()
    moved = machine.project.with_name("moved")
    machine.project.rename(moved)
    machine.project = moved
    result = machine.start()
    assert "was moved" in result.stderr
    assert [line[2] for line in machine.log()[:2]] == ["venv", "ensurepip"]


def test_an_environment_without_python_is_made_again(machine: Machine) -> None:
    machine.start()
    machine.log()
    (machine.venv / "bin" / "python").unlink()
    assert machine.start().returncode == 0
    assert machine.log()[0][2] == "venv"


def test_an_interrupted_set_up_starts_afresh(machine: Machine) -> None:
    machine.start()
    machine.log()
    ended = subprocess.Popen(["true"])
    ended.wait()
    (machine.venv / "set-up-running").write_text(f"{ended.pid}\n", encoding="utf-8")
    half_done = machine.venv / "lib" / "half-unpacked"
    half_done.touch()
    result = machine.start()
    assert "interrupted" in result.stderr
    assert not half_done.exists()
    assert [line[2] for line in machine.log()[:3]] == ["venv", "ensurepip", "pip"]
    assert not (machine.venv / "set-up-running").exists()


def test_two_set_ups_at_once_do_not_disturb_each_other(machine: Machine) -> None:
    (machine.venv).mkdir()
    (machine.venv / "set-up-running").write_text(f"{os.getpid()}\n", encoding="utf-8")
    result = machine.start()
    assert result.returncode == 1
    assert f"process {os.getpid()} is setting up" in result.stderr
    assert machine.log() == []


def test_a_failed_first_install_is_said_and_tried_again(machine: Machine) -> None:
    result = machine.start(PIP_FAILS="yes")
    assert result.returncode == 1
    assert "Is there a network?" in result.stderr
    machine.log()
    assert machine.start().returncode == 0
    assert machine.log() == [machine.installed(), machine.opened()]


def test_an_update_that_cannot_be_installed_does_not_stop_the_program(machine: Machine) -> None:
    machine.start()
    machine.log()
    with (machine.project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    result = machine.start(PIP_FAILS="yes")
    assert result.returncode == 0
    assert "going on with what was installed before" in result.stderr
    assert machine.log() == [machine.installed(), machine.opened()]
    # It is tried again, and the tests never run on what may be incomplete.
    assert machine.start("test", PIP_FAILS="yes").returncode == 1
    assert machine.log() == [machine.installed("[test]")]


def test_the_extras_for_the_tests_are_added_once_and_stay(machine: Machine) -> None:
    machine.start()
    machine.log()
    machine.start("test")
    assert machine.log()[0] == machine.installed("[test]")
    machine.start("test")
    machine.start()
    assert not [line for line in machine.log() if "pip" in line]
    with (machine.project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    machine.start()
    assert machine.log()[0] == machine.installed("[test]")


@pytest.mark.parametrize(
    ("system", "environment", "arguments", "expected"),
    [
        ("Linux", {"DISPLAY": ""}, [], ["tour", "--out", "tour"]),
        ("Linux", {"DISPLAY": ""}, ["a.gfx"], ["a.gfx"]),
        ("Linux", {"DISPLAY": ":0"}, [], []),
        ("Linux", {"DISPLAY": "", "WAYLAND_DISPLAY": "wayland-0"}, [], []),
        ("Linux", {"DISPLAY": "", "QT_QPA_PLATFORM": "offscreen"}, [], []),
        ("Darwin", {"DISPLAY": ""}, [], []),
    ],
)
def test_without_a_screen_a_bare_start_draws_the_tour(
    machine: Machine,
    system: str,
    environment: dict[str, str],
    arguments: list[str],
    expected: list[str],
) -> None:
    machine.tool("uname", f"echo {system}")
    result = machine.start(*arguments, **environment)
    assert machine.log()[-1] == machine.opened(*expected)
    assert ("No screen" in result.stderr) == (expected[:1] == ["tour"])


MISSING = """\
if [ -e "$STATE/installed" ]; then echo ' libEGL.so.1 => /lib/libEGL.so.1 (0x1)'
else printf '\\tlibEGL.so.1 => not found\\n\\tlibxcb-cursor.so.0 => not found\\n'; fi"""


def test_root_gets_qts_missing_libraries_installed(machine: Machine) -> None:
    machine.tool("ldd", MISSING)
    machine.tool("id", "echo 0")
    machine.tool("apt-get", 'echo "apt-get|$*" >>"$STATE/log"; touch "$STATE/installed"')
    result = machine.start()
    assert result.returncode == 0, result.stderr
    log = machine.log()
    assert log[-2:] == [
        ["apt-get", "install -qq -y --no-install-recommends libegl1 libxcb-cursor0"],
        machine.opened(),
    ]


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        (
            "apt-get",
            "sudo apt-get update && sudo apt-get install libegl1 libxcb-cursor0",
        ),
        ("dnf", "sudo dnf install 'libEGL.so.1()(64bit)' 'libxcb-cursor.so.0()(64bit)'"),
        ("zypper", "sudo zypper install 'libEGL.so.1()(64bit)' 'libxcb-cursor.so.0()(64bit)'"),
        ("pacman", "sudo pacman -S libglvnd"),
        (None, "libEGL.so.1 libxcb-cursor.so.0"),
    ],
)
def test_everybody_else_gets_the_exact_command(
    machine: Machine, manager: str | None, command: str
) -> None:
    machine.tool("ldd", MISSING)
    if manager is not None:
        machine.tool(manager, 'echo "manager|$*" >>"$STATE/log"')
    result = machine.start()
    assert result.returncode == 1
    assert command in result.stderr
    assert not [line for line in machine.log() if line[0] == "manager"]
    # Once installed, neither the environment nor a complaint comes again.
    (machine.state / "installed").touch()
    assert machine.start().returncode == 0
    assert machine.log() == [machine.installed(), machine.opened()]
