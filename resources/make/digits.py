"""Make resources/data/digits.npz from scikit-learn's copy of the UCI digits.

Run `python -m resources.make.digits` where scikit-learn is installed; the program does not need it.
The held-out fifth is chosen here once, stratified by class with seed 0, and kept in the file, so
that it never depends on a random generator again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.data.dataset import stratified
from resources.make.archive import write_npz

CREDIT = (
    "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998, "
    "UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, "
    "licensed CC BY 4.0; the 1,797 digits as distributed by scikit-learn, unchanged"
)


def main() -> None:
    from sklearn.datasets import load_digits

    source = load_digits()
    images = source.images.astype(np.uint8)
    if images.shape != (1797, 8, 8) or images.max() != 16 or (images != source.images).any():
        raise SystemExit("load_digits() changed: expected 1797 pictures of whole numbers 0 to 16")
    labels = source.target.astype(np.uint8)
    path = Path(__file__).parents[1] / "data" / "digits.npz"
    write_npz(
        path,
        {
            "images": images,
            "labels": labels,
            "test": stratified(labels, 0.2, seed=0).astype(np.uint16),
            "credit": np.array(CREDIT),
        },
    )
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
