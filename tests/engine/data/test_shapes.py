import numpy as np
import pytest

from engine.data.shapes import CLASSES, shapes


def of(name: str, count: int = 12) -> np.ndarray:
    """Noiseless pictures of one class, float64 (count, 32, 32)."""
    data = shapes(count, seed=5, noise=0)
    return data.images[data.labels == CLASSES.index(name), 0].astype(float)


def inside(images: np.ndarray) -> np.ndarray:
    """Coverage 0 to 1 of the smaller of the two areas, from pictures of two brightnesses."""
    low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    cover = (images - low) / (high - low)
    return np.where(cover.mean((1, 2), keepdims=True) > 0.5, 1 - cover, cover)


def test_the_set_is_balanced_in_range_and_set_by_its_seed():
    data = shapes(20, seed=1)
    assert data.images.shape == (18 * 20, 1, 32, 32) and data.images.dtype == np.float32
    assert data.counts.tolist() == [20] * 18
    assert 0 <= data.images.min() < 0.05 < 0.95 < data.images.max() <= 1
    again, other = shapes(20, seed=1), shapes(20, seed=2)
    assert again.images.tobytes() == data.images.tobytes()
    assert again.labels.tolist() == data.labels.tolist()
    assert other.images.tobytes() != data.images.tobytes()


def test_every_picture_differs_and_has_contrast():
    data = shapes(20, seed=1, noise=0)
    assert len({image.tobytes() for image in data.images}) == len(data)
    spread = np.ptp(data.images, axis=(1, 2, 3))
    assert spread.min() > 0.45


def test_a_disc_has_the_area_of_its_width():
    cover = inside(of("disc"))
    width = cover.sum(2).max(1)
    np.testing.assert_allclose(cover.sum((1, 2)), np.pi * width**2 / 4, rtol=0.03)


@pytest.mark.parametrize("kind", ["edge", "stripes"])
def test_directions_are_what_their_names_say(kind):
    """Horizontal: changes down the columns; falling: along the falling diagonal, little."""

    def change(name: str) -> tuple[float, ...]:
        x = of(f"{name} {kind}")
        pairs = (
            (x[:, :, 1:], x[:, :, :-1]),
            (x[:, 1:], x[:, :-1]),
            (x[:, 1:, 1:], x[:, :-1, :-1]),
            (x[:, 1:, :-1], x[:, :-1, 1:]),
        )
        return tuple(float(np.abs(a - b).mean()) for a, b in pairs)

    across, down, _, _ = change("horizontal")
    assert across < 0.2 * down
    across, down, _, _ = change("vertical")
    assert down < 0.2 * across
    _, _, falling, rising = change("falling")
    assert falling < 0.3 * rising
    _, _, falling, rising = change("rising")
    assert rising < 0.3 * falling


def test_edges_are_antialiased():
    cover = inside(of("disc"))
    between = ((cover > 0.02) & (cover < 0.98)).sum((1, 2))
    assert between.min() >= 20


@pytest.mark.parametrize(("count", "noise"), [(0, 0.0), (1, -1.0), (1, float("nan"))])
def test_impossible_arguments_are_refused(count, noise):
    with pytest.raises(ValueError, match="expected"):
        shapes(count, seed=0, noise=noise)
