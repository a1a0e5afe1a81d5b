import json

import numpy as np
import pytest

from engine.data.digits import digits
from engine.data.strokes import (
    Drawing,
    Stroke,
    StrokeError,
    as_digits8,
    as_mnist,
    drawings_of,
    rasterise,
    shipped_digits,
    write_drawings,
)


def drawn(*lines, width=0.1):
    return Drawing(tuple(Stroke(tuple(line), width) for line in lines))


BAR = drawn([(0.25, 0.5), (0.75, 0.5)], width=0.25)
HOOK = drawn([(0.3, 0.2), (0.6, 0.2), (0.5, 0.8)], [(0.4, 0.5), (0.6, 0.5)])


def test_a_bar_along_the_pixels_covers_them_exactly():
    # 8 pixels a side: the bar is 2 pixels high, around the middle, with round ends.
    ink = rasterise(BAR, 8)
    assert ink.dtype == np.float32
    assert ink[:, 3:5].tolist() == [[0, 0]] * 3 + [[1, 1]] * 2 + [[0, 0]] * 3
    assert ink.tolist() == ink[::-1].tolist() == ink[:, ::-1].tolist()


def test_the_ink_is_the_area_of_line_and_round_ends():
    size = 64
    area = 0.5 * 0.25 + np.pi * 0.125**2
    assert rasterise(BAR, size).sum() / size**2 == pytest.approx(area, rel=0.01)
    thin = drawn([(0.1, 0.5), (0.9, 0.5)], width=0.005)
    assert rasterise(thin, 28)[:, 14].sum() == pytest.approx(0.005 * 28, rel=1e-5)


def test_a_transposed_drawing_gives_the_transposed_picture():
    turned = drawn(*([(y, x) for x, y in stroke.points] for stroke in HOOK.strokes))
    np.testing.assert_allclose(rasterise(turned), rasterise(HOOK).T, atol=1e-6)


def test_points_within_a_pixel_change_nothing_to_be_seen():
    dense = drawn([(0.2 + 0.6 * i / 3000, 0.3) for i in range(3001)])
    np.testing.assert_allclose(
        rasterise(dense), rasterise(drawn([(0.2, 0.3), (0.8, 0.3)])), atol=1e-5
    )


def test_one_point_is_a_dot():
    ink = rasterise(drawn([(0.5, 0.5)], width=0.5), 32)
    assert ink.sum() == pytest.approx(np.pi * 8**2, rel=0.01)
    # Wherever it was drawn, it lies around pixel (14, 14), and around the middle of the 8x8.
    around_14 = as_mnist(drawn([(0.1, 0.9)]))[1:, 1:]
    assert around_14[13, 13] == 1 and around_14.sum() == pytest.approx(np.pi * 1.85**2, rel=0.05)
    small = as_digits8(drawn([(0.1, 0.9)]))
    # A disc 9 pixels wide covers all but the outer corner of each block in the middle.
    assert small[3:5, 3:5].tolist() == [[15, 15], [15, 15]]
    for picture in (around_14, small):
        np.testing.assert_allclose(picture, picture[::-1, ::-1], atol=1e-6)


def test_a_picture_of_no_pixels_is_refused():
    with pytest.raises(StrokeError, match="size 0: expected at least 1"):
        rasterise(Drawing(()), 0)


def test_an_empty_drawing_is_empty():
    for picture in (rasterise(Drawing()), as_mnist(Drawing()), as_digits8(Drawing())):
        assert not picture.any()


@pytest.mark.parametrize("index", range(30))
def test_mnists_form_fits_20_pixels_around_the_centre_of_mass(index):
    drawing = shipped_digits()[index]
    ink = as_mnist(drawing).astype(float)
    assert ink.shape == (28, 28) and 0 <= ink.min() < ink.max() == 1
    centres = np.arange(28)
    assert ink.sum(0) @ centres / ink.sum() == pytest.approx(14, abs=0.03)
    assert ink.sum(1) @ centres / ink.sum() == pytest.approx(14, abs=0.03)
    rows, columns = np.flatnonzero(ink.max(1) > 0.02), np.flatnonzero(ink.max(0) > 0.02)
    assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 22


def test_mnists_form_does_not_depend_on_place_or_size():
    moved = drawn(
        *([(0.4 * x + 0.5, 0.4 * y + 0.05) for x, y in s.points] for s in HOOK.strokes), width=0.04
    )
    np.testing.assert_allclose(as_mnist(moved), as_mnist(HOOK), atol=1e-4)


@pytest.mark.parametrize(("pen", "width"), [(0.005, 1.7), (0.4, 3.7)])
def test_a_thread_and_a_blot_get_a_width_that_mnist_has(pen, width):
    ink = as_mnist(drawn([(0.2, 0.5), (0.8, 0.5)], width=pen))
    assert ink[:, 14].sum() == pytest.approx(width, abs=1e-3)


def test_ucis_form_has_whole_numbers_and_the_ink_of_ucis_digits():
    pictures = np.stack([as_digits8(d) for d in shipped_digits()])
    assert pictures.shape == (30, 8, 8)
    assert (pictures == np.rint(pictures)).all()
    assert pictures.min() == 0 and pictures.max() == 16
    ink = pictures.mean((1, 2))
    assert 4.2 < ink.min() <= ink.max() < 5.0
    # The left and right columns are nearly empty there, the rows are not.
    assert pictures[:, :, [0, 7]].mean() < 0.3 < 3 < pictures[:, [0, 7]].mean()


def test_every_shipped_digit_resembles_its_class_among_the_real_ones():
    """By the five nearest of UCI's digits; so a mislabelled or unnatural drawing fails."""
    train, _ = digits()
    real = train.images.reshape(len(train), 64)
    for drawing in shipped_digits():
        picture = as_digits8(drawing).ravel() / 16
        nearest = np.argsort(((real - picture) ** 2).sum(1))[:5]
        assert np.bincount(train.labels[nearest], minlength=10).argmax() == drawing.label


def test_three_drawings_of_each_digit_ship_all_different():
    drawings = shipped_digits()
    assert [d.label for d in drawings] == [label for label in range(10) for _ in range(3)]
    assert len({as_mnist(d).tobytes() for d in drawings}) == 30
    assert all(d.name for d in drawings)


def test_drawings_go_through_a_file_unchanged(tmp_path):
    drawings = (*shipped_digits()[:4], HOOK, Drawing())
    write_drawings(tmp_path / "a.json", drawings)
    text = (tmp_path / "a.json").read_text("utf-8")
    assert drawings_of(text, "a.json") == drawings
    assert [p.name for p in tmp_path.glob("a.json*")] == ["a.json"]
    with pytest.raises(StrokeError, match="could not be written"):
        write_drawings(tmp_path / "missing" / "a.json", drawings)


def test_a_stroke_is_added():
    more = BAR.with_stroke(HOOK.strokes[0])
    assert more.strokes == (BAR.strokes[0], HOOK.strokes[0])
    assert (more.label, more.name) == (BAR.label, BAR.name)


@pytest.mark.parametrize(
    ("points", "width", "message"),
    [
        ((), 0.1, "without points"),
        (((0.5, 1.2),), 0.1, "from 0 to 1"),
        (((float("nan"), 0.5),), 0.1, "from 0 to 1"),
        (((0.5, 0.5),), 0.0, "pen width"),
        (((0.5, 0.5),), float("nan"), "pen width"),
        (((0.5, 0.5),), 0.6, "pen width"),
    ],
)
def test_impossible_strokes_are_refused(points, width, message):
    with pytest.raises(StrokeError, match=message):
        Stroke(points, width)


def file_of(*drawings):
    return json.dumps({"format": "drawings", "version": 1, "drawings": list(drawings)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "expected .*drawings"),
        ('{"format": "drawings", "version": 2, "drawings": []}', "version"),
        ('{"format": "drawings", "version": 1}', "expected a list"),
        (file_of(3), "drawing 0"),
        (file_of({"label": 1}), "drawing 0: drawing without 'strokes'"),
        (file_of({"label": "1", "strokes": []}), "label '1'"),
        (file_of({"label": 1, "strokes": [{"width": 0.1, "points": [[0.5]]}]}), "drawing 0"),
        (file_of({"label": 1, "strokes": [{"width": 0.1, "points": [[0.5, 3]]}]}), "from 0 to 1"),
        (file_of({"label": 1, "strokes": [{"width": "x", "points": [[0, 0]]}]}), "drawing 0"),
    ],
)
def test_a_damaged_file_is_named(text, message):
    with pytest.raises(StrokeError, match=message) as caught:
        drawings_of(text, "a.json")
    assert "a.json" in str(caught.value)
