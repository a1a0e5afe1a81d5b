"""The table of operators in the README is what the registries say."""

from __future__ import annotations

from pathlib import Path

from engine.onnx.operator_table import rows, table
from engine.onnx.site import IMPORTS

README = Path(__file__).parents[3] / "README.md"


def test_the_readme_has_the_table_of_the_command() -> None:
    text = README.read_text(encoding="utf-8")
    _, _, rest = text.partition("<!-- made by ./start operators -->\n")
    inside, end, _ = rest.partition("\n<!-- end -->")
    assert end, "the README lacks the table"
    assert inside == table(), "write the output of ./start operators into the README"


def test_every_operator_that_is_opened_has_a_row() -> None:
    found = {row.operator: row for row in rows()}
    assert set(IMPORTS) <= set(found)
    assert found["Conv"].backward and found["Conv"].exported
    assert not found["Floor"].backward and found["Floor"].forward
    assert not found["ScatterElements"].imported and found["ScatterElements"].exported
