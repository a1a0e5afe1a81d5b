"""Explanations with more terms than are shown, with none that can be added, and of nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.cell import Cell
from engine.explain import TERMS_AS_TEXT, Explanation, Place, Share, Weight
from engine.graph import Graph
from engine.layers.base import Term, Terms


def explained(*products: float, parts: int = 1) -> Explanation:
    """A gradient made of these products, in so many shares."""
    terms = tuple(Term(("output_grad", 0, (i,)), p, 1.0) for i, p in enumerate(products))
    shares = tuple(Share(f"r{i}", 0, Terms(terms[i::parts], "sum", "Σ"), 0.0) for i in range(parts))
    return Explanation(Graph(), Place(Cell("a", 0, (3,)), "gradient"), 1.5, shares)


def test_only_the_largest_terms_are_shown_as_text() -> None:
    count = TERMS_AS_TEXT + 3
    text = str(explained(*(float(i) for i in range(count))))
    lines = text.splitlines()
    assert lines[0] == "gradient of a[3] = 1.5 = Σ"
    assert len(lines) == 1 + TERMS_AS_TEXT + 1 and lines[-1] == "  and 3 smaller terms"
    assert f"{count - 1} · 1" in lines[1] and f"{count - 2} · 1" in lines[2]


def test_a_term_beyond_the_last_is_refused() -> None:
    it = explained(1.0, 2.0, 3.0, parts=2)
    assert [it.term(i).value for i in range(3)] == [1.0, 3.0, 2.0]
    assert [it.share_of(i) for i in range(3)] == [0, 0, 1]
    assert it.formula == "r0 + r1" and it.chosen is None
    for number in (-1, 3):
        with pytest.raises(IndexError, match=f"expected 0 to 2, received {number}"):
            it.term(number)


@pytest.mark.parametrize(
    ("products", "total"),
    [
        ((1e16, 1.0, -1e16), 1.0),
        ((math.inf, 1.0), math.inf),
        ((math.inf, -math.inf), math.nan),
        ((1e308, 1e308, 1e308), math.inf),
        ((math.nan, 2.0), math.nan),
    ],
)
def test_terms_add_up_exactly_or_to_what_arithmetic_gives(
    products: tuple[float, ...], total: float
) -> None:
    found = explained(*products).total
    assert found is not None
    np.testing.assert_equal(found, total)


def test_what_is_not_a_number_comes_first() -> None:
    assert explained(5.0, math.nan, -7.0).order.tolist() == [1, 2, 0]


def test_a_weight_says_where_it_is() -> None:
    weight = Weight("conv1", "weight", (2, 0, 1, 1))
    assert (str(weight), weight.node) == ("conv1 weight[2, 0, 1, 1]", "conv1")
