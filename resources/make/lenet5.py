"""Make resources/networks/lenet5.gflow: LeNet-5, trained on the 60,000 pictures of MNIST.

Run `python -m resources.make.lenet5 --mnist DIR`, where DIR holds MNIST's four IDX files, which
are not shipped. It takes a few minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.data.idx import mnist
from engine.layers.base import Array
from engine.losses import CrossEntropy
from engine.optimizers import Adam
from engine.train import TrainSettings
from resources.make.network import make
from resources.make.shift import random_shift

# Adam, because momentum SGD's first steps left up to 7 of conv2's 16 maps dead (always 0).
SETTINGS = TrainSettings(
    epochs=15,
    batch_size=64,
    optimizer=Adam(lr=0.001),
    seed=0,
    schedule="cosine",
)


@dataclass(frozen=True)
class SmoothedCrossEntropy(CrossEntropy):
    """Cross-entropy against a target of 1 − ε + ε/K and ε/K instead of 1 and 0.

    A network trained on hard targets is so sure of every digit (shares above 0.99999) that the
    errors and gradients that the program is there to show would be about 1e-6.

    Source: Szegedy et al. 2016, section 7.
    """

    epsilon: float = 0.1

    def backward(self, saved: Mapping[str, Array], weight: float = 1.0) -> Array:
        p, target = saved["probabilities"], saved["target"]
        wanted = np.full_like(p, self.epsilon / p.shape[1])
        wanted[np.arange(len(p)), target] += p.dtype.type(1 - self.epsilon)
        return (p - wanted) * p.dtype.type(weight / len(p))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, required=True, metavar="DIR")
    folder = parser.parse_args().mnist
    training, test = mnist(folder)
    make(
        "lenet5",
        training,
        test,
        SETTINGS,
        augment=random_shift,
        command="python -m resources.make.lenet5 --mnist DIR",
        notes="Each training picture shifted by up to 2 pixels; labels smoothed by 0.1; weights "
        "of the last epoch.",
        loss=SmoothedCrossEntropy(),
    )


if __name__ == "__main__":
    main()
