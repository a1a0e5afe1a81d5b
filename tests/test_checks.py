"""The test command runs every check, a failing one fails it, and the import rules can fail."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKS = [
    ("ruff check", "ruff|check|."),
    ("ruff format", "ruff|format|--check|."),
    ("mypy", "mypy"),
    ("lint-imports", "lint-imports"),
    ("pytest", "pytest|-n|auto|--maxprocesses|4|--dist|loadfile|-k|a name"),
]

posix = pytest.mark.skipif(sys.platform == "win32", reason="the script is for POSIX shells")


def run_test_command(project: Path, fails: str) -> tuple[int, str, list[str]]:
    """Run ``start test -k "a name"`` with tools that only log their arguments.

    Returns the exit code, everything printed, and the log.
    """
    programs = project / ".venv" / "bin"
    programs.mkdir(parents=True)
    shutil.copy(ROOT / "start", project)
    (project / "pyproject.toml").touch()
    log = project / "log"
    python = programs / "python"
    python.write_text(
        f"""#!/bin/sh
shift
line=$1; name=$1; [ "$1" != ruff ] || name="$1 $2"
shift
for word in "$@"; do line="$line|$word"; done
echo "$line" >>"{log}"
[ "$name" != "{fails}" ] || {{ echo "what $name found"; exit 1; }}
""",
        encoding="utf-8",
    )
    linter = programs / "lint-imports"
    linter.write_text(
        f"#!/bin/sh\necho lint-imports >>'{log}'\n"
        f"[ '{fails}' != lint-imports ] || {{ echo what lint-imports found; exit 1; }}\n",
        encoding="utf-8",
    )
    for program in (python, linter):
        program.chmod(0o755)
    checksum = subprocess.run(["cksum"], input=b"", capture_output=True, check=True).stdout.decode()
    (project / ".venv" / "set-up-done").write_text(
        f"{project}\n{checksum}with-test\n", encoding="utf-8"
    )
    result = subprocess.run(
        [str(project / "start"), "test", "-k", "a name"],
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr, log.read_text().splitlines()


@posix
def test_the_test_command_runs_every_check_and_then_the_tests(tmp_path: Path) -> None:
    code, printed, log = run_test_command(tmp_path, fails="nothing")
    assert code == 0, printed
    assert log == [line for _, line in CHECKS]
    assert printed.splitlines() == [
        "ok      ruff check",
        "ok      ruff format",
        "ok      mypy",
        "ok      import rules",
    ]


@posix
@pytest.mark.parametrize("check", [name for name, _ in CHECKS])
def test_each_failing_check_fails_the_test_command(tmp_path: Path, check: str) -> None:
    code, printed, log = run_test_command(tmp_path, fails=check)
    assert code == 1
    assert f"what {check} found" in printed
    assert "start: failed: " in printed
    assert log == [line for _, line in CHECKS], "the other checks run all the same"


def test_continuous_integration_calls_the_test_command_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines == [
        "#!/usr/bin/env bash",
        "set -eu",
        'exec "$(dirname "$0")/../start" test',
    ]


# For each contract, by its name in pyproject.toml, one line that breaks it.
VIOLATIONS = {
    "The engine never imports Qt or the explorer": ("engine/plan.py", "import PySide6"),
    "Only engine.onnx imports onnx": ("engine/graph.py", "import onnx"),
    "Layer files do not import each other": (
        "engine/layers/relu.py",
        "import engine.layers.conv2d",
    ),
    "Canvas and panels do not import each other": (
        "explorer/canvas/view.py",
        "import explorer.panels.flow",
    ),
    "Tensor pictures know neither canvas nor panels": (
        "explorer/tensors/pair.py",
        "import explorer.canvas.view",
    ),
    "Views only request: they import no controller, edit, session or worker": (
        "explorer/panels/flow/panel.py",
        "import explorer.controller",
    ),
    "The document knows no view": ("explorer/document.py", "import explorer.tensors.pair"),
    "The worker's child process has no Qt": ("explorer/worker_child.py", "import PySide6"),
}
PLAIN = ["engine/onnx/reader.py", "engine/layers/base.py", "engine/layers/conv2d.py"]


def test_every_import_rule_can_fail(tmp_path: Path) -> None:
    configuration = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(configuration)["tool"]["importlinter"]["contracts"]
    rules = [contract["name"] for contract in contracts]
    assert rules == list(VIOLATIONS), "each rule needs a line here that breaks it"
    (tmp_path / "pyproject.toml").write_text(configuration, encoding="utf-8")
    # A rule's module that does not exist is an error of its own: each module named is made here.
    forbidden = {name for rule in contracts for name in rule.get("forbidden_modules", ())}
    named = [
        f"{name.replace('.', '/')}.py"
        for name in sorted(forbidden)
        if name.startswith("explorer.") and (ROOT / f"{name.replace('.', '/')}.py").exists()
    ]
    for name in [*PLAIN, *named]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
    (tmp_path / "engine/onnx/reader.py").write_text("import onnx\n", encoding="utf-8")
    (tmp_path / "engine/layers/conv2d.py").write_text(
        "import engine.layers.base\n", encoding="utf-8"
    )
    for package in ("explorer/canvas", "explorer/panels", "explorer/tensors"):
        (tmp_path / package).mkdir(parents=True, exist_ok=True)

    def verdicts() -> dict[str, str]:
        for folder in [path for path in tmp_path.rglob("*") if path.is_dir()]:
            (folder / "__init__.py").touch()
        result = subprocess.run(
            [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        flat = " ".join(result.stdout.split())
        found = {
            rule: match[1]
            for rule in rules
            if (match := re.search(re.escape(rule) + r" (KEPT|BROKEN)", flat))
        }
        assert len(found) == len(rules), result.stdout + result.stderr
        return found

    for name, _ in VIOLATIONS.values():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert set(verdicts().values()) == {"KEPT"}
    for name, line in VIOLATIONS.values():
        (tmp_path / name).write_text(line + "\n", encoding="utf-8")
    assert set(verdicts().values()) == {"BROKEN"}


def test_test_folders_are_no_packages() -> None:
    """tests/engine/__init__.py would shadow the engine itself."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []
