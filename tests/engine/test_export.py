"""The choices of an export as plain data."""

from __future__ import annotations

from typing import Any

import pytest

from engine.export import DEFAULT_OPSET, ExportOptions


@pytest.mark.parametrize(
    "options",
    [
        ExportOptions(),
        ExportOptions("pytorch"),
        ExportOptions("onnx", 21, 4, "remove", merge_norms=True, compare=False),
    ],
)
def test_options_come_back_from_settings(options: ExportOptions) -> None:
    assert ExportOptions.from_dict(options.as_dict()) == options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("form", "caffe"),
        ("opset", 12),
        ("opset", True),
        ("opset", "17"),
        ("batch", 0),
        ("batch", 1.5),
        ("softmax", None),
        ("softmax", ["add"]),
        ("merge_norms", 1),
        ("compare", {}),
    ],
)
def test_a_setting_without_sense_becomes_the_default_alone(name: str, value: Any) -> None:
    wanted = ExportOptions("onnx", 21, 4, "remove", merge_norms=True, compare=False)
    found = ExportOptions.from_dict({**wanted.as_dict(), name: value})
    assert getattr(found, name) == getattr(ExportOptions(), name)
    others = {k: v for k, v in found.as_dict().items() if k != name}
    assert others == {k: v for k, v in wanted.as_dict().items() if k != name}


def test_settings_of_another_program_are_no_obstacle() -> None:
    assert ExportOptions.from_dict({"colour": "red"}) == ExportOptions(opset=DEFAULT_OPSET)
