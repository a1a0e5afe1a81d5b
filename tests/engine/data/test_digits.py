import hashlib

import numpy as np
import pytest

from engine.data.digits import digits


def test_every_digit_is_there_and_unchanged():
    train, test = digits()
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (train.counts + test.counts).tolist() == counts
    assert train.images.dtype == np.float32
    assert train.images.shape == (1438, 1, 8, 8)
    assert (train.images[0, 0, 0] * 16).tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert train.labels[:6].tolist() == [0, 1, 2, 3, 4, 6]
    # The sum over scikit-learn's load_digits().images.
    assert 16 * (train.images.sum(dtype=float) + test.images.sum(dtype=float)) == 561718
    assert "CC BY 4.0" in train.credit and "Alpaydin" in test.credit


def test_the_held_out_fifth_is_fixed_stratified_and_disjoint():
    train, test = digits()
    assert test.counts.tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    content = (test.images * 16).astype(np.uint8).tobytes() + test.labels.astype(np.uint8).tobytes()
    assert hashlib.sha256(content).hexdigest() == (
        "386d811a323f132ca4cb0d0e63bf974fda8a421ba5193cf4f8d527c44251de08"
    )
    assert {i.tobytes() for i in train.images}.isdisjoint(i.tobytes() for i in test.images)


def test_the_training_part_is_normalised_to_mean_0_and_deviation_1():
    x = digits()[0].inputs()
    assert x.mean(dtype=float) == pytest.approx(0, abs=2e-4)
    assert x.std(dtype=float) == pytest.approx(1, abs=2e-4)
