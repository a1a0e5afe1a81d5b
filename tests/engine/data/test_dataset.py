import numpy as np
import pytest

from engine.data.dataset import Dataset, channel_statistics, stratified
from engine.data.errors import DataError
from engine.data.preprocessing import Preprocessing

PREPROCESSING = Preprocessing((1, 1), 1, (0.2,), (0.5,))


def numbered(count: int = 20) -> Dataset:
    """Image i has the value i, its label is i mod 4."""
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    return Dataset("numbered", images, np.arange(count) % 4, tuple("abcd"), PREPROCESSING)


def test_arrays_are_read_only_and_the_callers_stay_writable():
    images = np.zeros((2, 1, 1, 1), np.uint8)
    data = Dataset("two", images, np.array([0, 1]), ("a", "b"), PREPROCESSING)
    with pytest.raises(ValueError, match="read-only"):
        data.images[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        data.labels[0] = 1
    images[0] = 1


def test_batches_cover_everything_once_in_an_order_set_by_seed_and_epoch():
    data = numbered()

    def order(**arguments):
        parts = [
            np.rint((x * 0.5 + 0.2) * 255)[:, 0, 0, 0] for x, _ in data.batches(6, **arguments)
        ]
        return [len(part) for part in parts], np.concatenate(parts).astype(int).tolist()

    sizes, first = order(seed=3, epoch=0)
    assert sizes == [6, 6, 6, 2]
    assert sorted(first) == list(range(20)) and first != list(range(20))
    assert order(seed=3, epoch=0)[1] == first
    assert order(seed=3, epoch=1)[1] != first
    assert order(seed=3, epoch=0, skip=2) == ([6, 2], first[12:])
    assert order(seed=4, epoch=0)[1] != first
    assert order(seed=None) == ([6, 6, 6, 2], list(range(20)))
    assert order(seed=3, drop_last=True) == ([6, 6, 6], first[:18])


def test_a_batch_is_normalised_and_keeps_image_and_label_together():
    x, y = next(numbered().batches(8, seed=0))
    assert (x.dtype, x.shape, y.dtype) == (np.float32, (8, 1, 1, 1), np.int64)
    values = np.rint((x.ravel() * 0.5 + 0.2) * 255).astype(int)
    assert (values % 4).tolist() == y.tolist()
    np.testing.assert_allclose(x.ravel(), (values / 255 - 0.2) / 0.5, rtol=1e-5)


def test_split_is_stratified_disjoint_and_complete():
    train, test = numbered(40).split(0.3, seed=1)
    assert test.counts.tolist() == [3, 3, 3, 3]
    assert train.counts.tolist() == [7, 7, 7, 7]
    both = train.images.ravel().tolist() + test.images.ravel().tolist()
    assert sorted(both) == list(range(40))
    again = numbered(40).split(0.3, seed=1)[1]
    other = numbered(40).split(0.3, seed=2)[1]
    assert again.images.tolist() == test.images.tolist() != other.images.tolist()


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan")])
def test_a_fraction_outside_0_to_1_is_refused(fraction):
    with pytest.raises(DataError, match="between 0 and 1"):
        stratified(np.array([0, 1]), fraction, seed=0)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 1, 1), np.uint8), [0, 1], r"expected uint8 or float32 \(N, C, H, W\)"),
        (np.zeros((2, 1, 1, 1)), [0, 1], "float64"),
        (np.zeros((2, 3, 1, 1), np.uint8), [0, 1], "preprocessing makes"),
        (np.zeros((2, 1, 1, 1), np.uint8), [0], "expected 2 integers"),
        (np.zeros((2, 1, 1, 1), np.uint8), [0.0, 1.0], "expected 2 integers"),
        (np.zeros((2, 1, 1, 1), np.uint8), [0, 2], "labels from 0 to 2"),
        (np.zeros((2, 1, 1, 1), np.uint8), [-1, 1], "labels from -1 to 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(images, labels, message):
    with pytest.raises(DataError, match=message):
        Dataset("bad", images, np.array(labels), ("a", "b"), PREPROCESSING)


def test_a_batch_size_of_0_is_refused_at_once():
    with pytest.raises(DataError, match="batch_size 0"):
        numbered().batches(0, seed=0)


def test_channel_statistics_agree_with_numpy_for_both_dtypes():
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 4, 5), np.uint8)
    images[:, 2] = 51
    unit = (images / 255).astype(np.float32)
    for given in (images, unit):
        mean, std = channel_statistics(given)
        np.testing.assert_allclose(mean, unit.mean((0, 2, 3), dtype=float), atol=6e-5)
        np.testing.assert_allclose(std[:2], unit.std((0, 2, 3), dtype=float)[:2], atol=6e-5)
        # A constant channel is not divided by 0.
        assert (mean[2], std[2]) == (0.2, 1.0)
