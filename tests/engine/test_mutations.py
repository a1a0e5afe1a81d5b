"""The faults of mutations.py can still be put in, so that the script cannot go stale unseen."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutations", HERE / "mutations.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks its module up
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return module


SCRIPT = load()
ASKED_FOR = (
    "sign flipped",
    "tie rule changed",
    "wrong divisor",
    "missing accumulate",
    "stale statistics",
    "transposed kernel",
    "off by one in the dilation",
    "mask not reused",
    "weight decay on bias",
    "momentum order",
)


@pytest.mark.parametrize("mutation", SCRIPT.MUTATIONS, ids=lambda m: m.fault)
def test_a_fault_can_be_put_in_and_leaves_a_program(mutation: Any) -> None:
    assert mutation.problem() == ""
    assert mutation.old != mutation.new
    source = (ROOT / mutation.file).read_text("utf-8")
    ast.parse(source.replace(mutation.old, mutation.new))
    for argument in mutation.tests:
        if argument.startswith("tests/"):
            path, _, name = argument.partition("::")
            assert (ROOT / path).exists()
            assert not name or f"def {name}(" in (ROOT / path).read_text("utf-8")


@pytest.mark.parametrize("words", ASKED_FOR)
def test_every_kind_of_fault_is_tried(words: str) -> None:
    assert any(mutation.fault.startswith(words) for mutation in SCRIPT.MUTATIONS)


def test_text_that_is_gone_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    gone = SCRIPT.Mutation("a fault", "engine/plan.py", "no such text", "", ("tests",))
    monkeypatch.setattr(SCRIPT, "MUTATIONS", (gone,))
    assert SCRIPT.main([]) == 1
    assert "expected this text once, received it 0 times" in capsys.readouterr().out


def test_what_survives_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A change that changes nothing survives, and the script ends with an error."""
    (tmp_path / "engine.py").write_text("ANSWER = 42\n")
    (tmp_path / "test_it.py").write_text("import engine\ndef test(): assert engine.ANSWER == 42\n")
    monkeypatch.setattr(SCRIPT, "ROOT", tmp_path)
    monkeypatch.setattr(SCRIPT, "COPIED", ("engine.py", "test_it.py"))
    monkeypatch.setattr(SCRIPT, "LINKED", ())
    changes = {"killed": "41", "SURVIVED": "6 * 7"}
    for number, (found, new) in enumerate(changes.items()):
        fault = SCRIPT.Mutation(found, "engine.py", "42", new, ("test_it.py",))
        monkeypatch.setattr(SCRIPT.Mutation, "problem", lambda self: "")
        monkeypatch.setattr(SCRIPT, "MUTATIONS", (fault,))
        assert SCRIPT.main([]) == number
        assert capsys.readouterr().out.startswith(found)
