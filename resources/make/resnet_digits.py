"""Make resources/networks/resnet-digits.gflow: a residual network for the shipped 8x8 digits.

Run `python -m resources.make.resnet_digits`. It takes about a minute.
"""

from __future__ import annotations

import functools

from engine.data.digits import digits
from engine.optimizers import SGD
from engine.train import TrainSettings
from resources.make.network import make
from resources.make.shift import random_shift

SETTINGS = TrainSettings(
    epochs=40,
    batch_size=32,
    optimizer=SGD(lr=0.05, momentum=0.9, weight_decay=5e-4),
    seed=0,
    schedule="cosine",
)


def main() -> None:
    training, test = digits()
    make(
        "resnet-digits",
        training,
        test,
        SETTINGS,
        augment=functools.partial(random_shift, most=1),
        command="python -m resources.make.resnet_digits",
        notes="Each training picture shifted by up to 1 pixel; weights of the last epoch.",
    )


if __name__ == "__main__":
    main()
