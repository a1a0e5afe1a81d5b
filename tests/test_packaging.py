"""The wheel, built without a network, installed into a fresh environment, runs elsewhere."""

import os
import shutil
import struct
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
import zlib
from pathlib import Path

import pytest

import main

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOURCES = ("engine", "explorer", "resources")


def run(*command: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command that knows nothing of this checkout; return what it printed."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**environment, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def done(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout stays clean."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "main.py"):
        shutil.copy(ROOT / name, source)
    for name in SOURCES:
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    done(run(sys.executable, "-m", "pip", "wheel", *options, source, cwd=folder))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel; it borrows the requirements."""
    folder = tmp_path_factory.mktemp("fresh") / "an environment"
    done(run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=wheel.parent))
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    done(run(*pip, wheel, cwd=wheel.parent))
    # A path in a .pth file is searched, but the .pth files found there are not read: the
    # requirements of this environment are seen, its editable install of this checkout is not.
    site = Path(done(run(python, "-c", _PRINT_SITE, cwd=wheel.parent)).strip())
    (site / "requirements.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return programs


_PRINT_SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"


def test_the_listed_packages_are_the_folders_that_exist() -> None:
    folders = {path.parent for name in SOURCES for path in (ROOT / name).rglob("*.py")}
    found = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    data = {name for name in found if name.startswith("resources.")}
    assert sorted(found - data) == PYPROJECT["tool"]["setuptools"]["packages"]
    for name in found - data:
        assert (ROOT / Path(*name.split(".")) / "__init__.py").is_file(), f"{name} is no package"


def test_the_version_is_told_once() -> None:
    assert PYPROJECT["project"]["version"] == main.VERSION


def test_the_wheel_holds_every_file_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(ROOT).as_posix()
        for name in SOURCES
        for path in (ROOT / name).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and (name == "resources" or path.suffix == ".py")
    }
    assert held == expected | {"main.py"}


def test_the_installed_program_is_the_wheels(programs: Path, tmp_path: Path) -> None:
    script = "import main, engine, explorer, resources\n"
    script += "for m in (main, engine, explorer, resources): print(m.__file__)"
    for line in done(run(programs / "python", "-c", script, cwd=tmp_path)).splitlines():
        assert Path(line).is_relative_to(programs.parent), line


def test_the_installed_program_tells_its_version(programs: Path, tmp_path: Path) -> None:
    printed = done(run(programs / "gradient-flow-explorer", "--version", cwd=tmp_path))
    assert printed == f"gradient-flow-explorer {main.VERSION}\n"


def test_the_installed_program_steps_through_its_own_network(
    programs: Path, tmp_path: Path
) -> None:
    """The trained LeNet-5 is found among the resources, from a folder that has none of them."""
    image = tmp_path / "digit.png"
    image.write_bytes(
        grey_png([[255 if 12 <= x < 16 else 0 for x in range(28)] for _ in range(28)])
    )
    result = run(
        programs / "gradient-flow-explorer", "step", "lenet5", "--image", image, cwd=tmp_path
    )
    printed = done(result)
    assert result.stderr == ""
    for phase in ("forward", "loss", "backward"):
        assert phase in printed


def grey_png(rows: list[list[int]]) -> bytes:
    """An 8-bit grey PNG picture of the rows."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
