"""Make resources/networks/lenet5.gflow: LeNet-5, trained on the 60,000 pictures of MNIST.

Run `python -m resources.make.lenet5 --mnist DIR`, where DIR holds MNIST's four IDX files, which
are not shipped. It takes a few minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.data.idx import mnist
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


# A network trained on hard labels is so sure of every digit (shares above 0.99999) that the errors
# and gradients that the program is there to show would be about 1e-6.
LOSS = CrossEntropy(label_smoothing=0.1)


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
        loss=LOSS,
    )


if __name__ == "__main__":
    main()
