"""What is loaded when a part is imported, asked of a fresh process each time."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QT = {"PySide6", "shiboken6", "pyqtgraph"}


def modules_of(package: str) -> list[str]:
    """The names of all modules of a package in this checkout."""
    files = sorted((ROOT / package).rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    return [name.removesuffix(".__init__") for name in names]


def loaded_by(*modules: str) -> set[str]:
    """The top-level names in sys.modules after importing the modules in a fresh process."""
    script = (
        "import sys, importlib\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "for name in sys.argv[2:]: importlib.import_module(name)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(ROOT), *modules],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_the_engine_loads_no_qt() -> None:
    engine = modules_of("engine")
    assert len(engine) > 5
    loaded = loaded_by(*engine)
    assert loaded & (QT | {"explorer"}) == set()
    assert "numpy" in loaded


def test_import_engine_alone_is_light() -> None:
    assert loaded_by("engine") & (QT | {"numpy", "onnx", "explorer"}) == set()


def test_the_engine_loads_onnx_only_in_its_own_folder() -> None:
    """Importing onnx takes as long as NumPy: it may not slow the program's start."""
    others = [name for name in modules_of("engine") if not name.startswith("engine.onnx")]
    assert loaded_by(*others) & {"onnx", "onnxruntime"} == set()


def test_the_training_process_loads_no_qt() -> None:
    assert loaded_by("explorer.worker_child") & QT == set()


@pytest.mark.parametrize("module", ["main", "explorer", "resources"])
def test_what_a_spawned_process_imports_first_is_light(module: str) -> None:
    assert loaded_by(module) & (QT | {"numpy", "onnx"}) == set()


def test_the_look_sees_what_is_loaded() -> None:
    """The tests above would find Qt if it were loaded."""
    assert "PySide6" in loaded_by("PySide6.QtCore")
