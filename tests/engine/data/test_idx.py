import gzip
import hashlib
import struct

import numpy as np
import pytest

from engine.data.errors import DataError
from engine.data.idx import MNIST_MD5, IdxError, mnist, read_idx

PIXELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
IMAGES = struct.pack(">4I", 2051, 2, 3, 4) + PIXELS.tobytes()
LABELS = struct.pack(">2I", 2049, 3) + bytes([7, 2, 1])


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_images_and_labels_plain_or_gzipped(tmp_path, pack):
    (tmp_path / "images").write_bytes(pack(IMAGES))
    (tmp_path / "labels").write_bytes(pack(LABELS))
    images, labels = read_idx(tmp_path / "images"), read_idx(tmp_path / "labels")
    assert images.dtype == labels.dtype == np.uint8
    assert images.tolist() == PIXELS.tolist()
    assert labels.tolist() == [7, 2, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found 0 bytes"),
        (b"\0\0", "found 2 bytes"),
        (b"hello, world", "expected magic number 2051 or 2049, found 1751477356"),
        (IMAGES[:10], "header of 16 bytes, found 10"),
        (IMAGES[:-1], "24 bytes, found 23"),
        (IMAGES + b"\0", "bytes follow the 24"),
        (struct.pack(">4I", 2051, 2**32 - 1, 28, 28), "probably damaged"),
        (struct.pack(">4I", 2051, 2**20, 28, 28) + b"\0", "found 1; download"),
        (gzip.compress(IMAGES, mtime=0)[:-12], "damaged gzip"),
        (gzip.compress(IMAGES, mtime=0)[:10] + b"\xff" * 20, "damaged gzip"),
    ],
)
def test_a_damaged_file_is_named_with_what_was_expected(tmp_path, content, message):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(IdxError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, DataError)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(IdxError, match="no such file"):
        read_idx(tmp_path / "missing")
    with pytest.raises(IdxError, match="could not be read"):
        read_idx(tmp_path)


def test_the_hash_is_that_of_the_unpacked_bytes(tmp_path):
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(LABELS))
    assert read_idx(path, md5=hashlib.md5(LABELS).hexdigest()).tolist() == [7, 2, 1]
    with pytest.raises(IdxError, match="expected MD5 00"):
        read_idx(path, md5="00")


def write_mnist(folder, train=3, test=2, labels=None):
    """Four small files under MNIST's names; pixel values count up."""
    for prefix, count in (("train", train), ("t10k", test)):
        pixels = np.arange(count * 784, dtype=np.int64) % 251
        images = struct.pack(">4I", 2051, count, 28, 28) + pixels.astype(np.uint8).tobytes()
        answers = bytes(labels if labels is not None else [i % 10 for i in range(count)])
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(images)
        packed = gzip.compress(struct.pack(">2I", 2049, len(answers)) + answers)
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(packed)


def test_mnist_reads_its_four_files(tmp_path):
    write_mnist(tmp_path)
    train, test = mnist(tmp_path, verify=False)
    assert (train.images.shape, test.images.shape) == ((3, 1, 28, 28), (2, 1, 28, 28))
    assert train.images[0, 0, 0, :3].tolist() == [0, 1, 2]
    assert train.labels.tolist() == [0, 1, 2]
    assert train.preprocessing.mean == (0.1307,) and "CC BY-SA" in train.credit


def test_other_data_under_mnists_names_is_not_taken_for_it(tmp_path):
    write_mnist(tmp_path)
    with pytest.raises(IdxError, match=MNIST_MD5["train-images-idx3-ubyte"]):
        mnist(tmp_path)


def test_counts_labels_and_missing_files_are_checked(tmp_path):
    with pytest.raises(IdxError, match="neither train-images-idx3-ubyte nor"):
        mnist(tmp_path, verify=False)
    write_mnist(tmp_path, labels=[1, 2])
    with pytest.raises(IdxError, match=r"3 images but .* 2 labels"):
        mnist(tmp_path, verify=False)
    write_mnist(tmp_path, labels=[1, 2, 10])
    with pytest.raises(DataError, match="labels from 1 to 10"):
        mnist(tmp_path, verify=False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(LABELS)
    with pytest.raises(IdxError, match="found labels"):
        mnist(tmp_path, verify=False)
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(IMAGES))
    with pytest.raises(IdxError, match="expected labels .magic number 2049., found images"):
        mnist(tmp_path, verify=False)
