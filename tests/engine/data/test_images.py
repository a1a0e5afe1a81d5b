import struct

import numpy as np
import pytest
from PIL import Image

from engine.data.images import ImageError, read_image, resize, to_grey

RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
COLOUR = np.stack([RAMP, RAMP.max() - RAMP, RAMP // 2])


def png(path, image):
    """Write uint8 (H, W), (1, H, W) or (3, H, W)."""
    planes = image if image.ndim == 3 else image[None]
    Image.fromarray(planes[0] if len(planes) == 1 else np.moveaxis(planes, 0, 2)).save(path)


@pytest.mark.parametrize("image", [RAMP, RAMP[None], COLOUR])
def test_a_png_is_read_as_channels_first(tmp_path, image):
    png(tmp_path / "a.png", image)
    back = read_image(tmp_path / "a.png")
    assert back.dtype == np.uint8
    assert back.tolist() == (image if image.ndim == 3 else image[None]).tolist()


def test_pgm_and_ppm_as_text_and_bytes(tmp_path):
    path = tmp_path / "a.pgm"
    path.write_text("P2\n3 2\n255\n0 10 20\n30 40 255\n")
    assert read_image(path).tolist() == [[[0, 10, 20], [30, 40, 255]]]
    path.write_bytes(b"P6\n2 1\n255\n" + bytes([1, 2, 3, 4, 5, 6]))
    assert read_image(path).tolist() == [[[1, 4]], [[2, 5]], [[3, 6]]]


def test_every_pixel_format_becomes_grey_or_colour(tmp_path):
    path = tmp_path / "a.png"
    wide = RAMP.astype(np.uint16) * 257
    Image.fromarray(wide).save(path)
    assert read_image(path).tolist() == [RAMP.tolist()]
    Image.fromarray(RAMP > 100).save(path)
    assert read_image(path).tolist() == [((RAMP > 100) * 255).tolist()]
    Image.fromarray(np.moveaxis(COLOUR, 0, 2)).quantize(64).save(path)
    assert np.abs(read_image(path).astype(int) - COLOUR).max() <= 1


def test_transparency_lies_over_white(tmp_path):
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = [0, 51, 255]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[:, 0].tolist() == [[255, 204, 0]] * 3
    Image.fromarray(pixels[..., 2:]).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").tolist() == [[[255, 204, 0]]]


def test_a_photograph_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # Turn by 90 degrees clockwise to show.
    Image.fromarray(RAMP).save(tmp_path / "a.png", exif=exif)
    assert read_image(tmp_path / "a.png").tolist() == [np.rot90(RAMP, -1).tolist()]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (RAMP, RAMP[None]),
        (COLOUR, COLOUR),
        (np.moveaxis(COLOUR, 0, 2), COLOUR),
        (RAMP / 255, (RAMP / 255).astype(np.float32)[None]),
    ],
)
def test_arrays_are_read(tmp_path, array, expected):
    np.save(tmp_path / "a.npy", array)
    back = read_image(tmp_path / "a.npy")
    assert back.dtype == expected.dtype
    assert back.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5, np.uint8), r"shape \(5,\)"),
        (np.zeros((4, 5, 5), np.uint8), r"shape \(4, 5, 5\)"),
        (np.zeros((0, 5), np.uint8), r"shape \(1, 0, 5\)"),
        (np.zeros((5, 5), np.int32), "int32"),
        (np.full((5, 5), 1.5), "float64"),
        (np.full((5, 5), np.nan), "float64"),
        (np.array([[{}]], object), "damaged or unsafe"),
    ],
)
def test_arrays_that_are_no_picture_are_refused(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ImageError, match=message):
        read_image(tmp_path / "a.npy")


def test_a_text_file_is_no_image(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("Dear diary")
    with pytest.raises(ImageError, match=r"^notes.png: not a picture .*holds text.*PNG"):
        read_image(path)
    path.write_bytes(b"")
    with pytest.raises(ImageError, match="the file is empty"):
        read_image(path)
    path.write_bytes(b"PK\x03\x04" + bytes(60))
    with pytest.raises(ImageError, match=r"of a kind that is not read.*expected PNG"):
        read_image(path)


def test_messages_have_neither_folders_nor_bytes(tmp_path):
    png(tmp_path / "a.png", COLOUR)
    whole = (tmp_path / "a.png").read_bytes()
    contents = [b"not a png", b"", whole[:40], b"\x93NUMPY\x01"]
    contents += [whole[:at] + b"\x00" + whole[at + 1 :] for at in range(0, len(whole), 3)]
    messages = []
    for content in contents:
        (tmp_path / "b.png").write_bytes(content)
        try:
            read_image(tmp_path / "b.png")
        except ImageError as error:
            messages.append(str(error))
    for missing in (tmp_path / "b.jpg", tmp_path):
        with pytest.raises(ImageError) as caught:
            read_image(missing)
        messages.append(str(caught.value))
    assert len(messages) > 8
    for message in messages:
        assert message.startswith(("b.png: ", "b.jpg: ", f"{tmp_path.name}: ")), message
        assert "b'" not in message and "/" not in message, message


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.tif", "a.webp", "a.npy"])
def test_a_file_cut_anywhere_never_crashes(tmp_path, name):
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 256, (3, 16, 16), np.uint8)
    if name == "a.npy":
        np.save(path, noise)
    else:
        Image.fromarray(np.moveaxis(noise, 0, 2)).save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole) // 2, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ImageError, match=name):
            read_image(path)


def test_a_flipped_byte_gives_a_picture_or_an_image_error(tmp_path):
    png(tmp_path / "a.png", COLOUR)
    whole = (tmp_path / "a.png").read_bytes()
    refused = 0
    for at in range(len(whole)):
        (tmp_path / "b.png").write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            read_image(tmp_path / "b.png")
        except ImageError:
            refused += 1
    assert refused > len(whole) // 2


def test_a_huge_picture_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.pgm"
    path.write_bytes(b"P5\n100000 100000\n255\n")
    with pytest.raises(ImageError, match="pixels"):
        read_image(path)
    path.write_bytes(b"P5\n9000 9000\n255\n")
    with pytest.raises(ImageError, match="9000 x 9000 pixels; at most 64,000,000"):
        read_image(path)
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (10000000, 1000000), }\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    (tmp_path / "bomb.npy").write_bytes(content)
    with pytest.raises(ImageError, match="damaged"):
        read_image(tmp_path / "bomb.npy")


def test_what_cannot_be_opened_says_why(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("error", "said"),
    [(PermissionError(13, "denied"), "check its permissions"), (OSError(5, "I/O"), "try a copy")],
)
def test_a_file_that_may_not_or_cannot_be_read_says_so(tmp_path, monkeypatch, error, said):
    def refuse(self, *arguments):
        raise error

    path = tmp_path / "locked.png"
    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(ImageError, match=f"locked.png: .*{said}"):
        read_image(path)


def test_a_picture_of_fractions_is_rounded_and_what_is_no_number_is_black(tmp_path):
    pixels = np.array([[0.4, 0.6, 300.0], [-5.0, np.nan, 254.5]], np.float32)
    Image.fromarray(pixels).save(tmp_path / "fractions.tif")
    found = read_image(tmp_path / "fractions.tif")
    assert found.tolist() == [[[0, 1, 255], [0, 0, 254]]]


def test_resize_averages_areas_and_enlarges_smoothly():
    values = np.random.default_rng(0).random((3, 12, 8), dtype=np.float32)
    blocks = values.reshape(3, 4, 3, 4, 2).mean((2, 4))
    np.testing.assert_allclose(resize(values, (4, 4)), blocks, atol=1e-6)
    assert resize(values, (12, 8)) is values
    large = resize(np.array([[[0, 1]]], np.float32), (1, 4))
    np.testing.assert_allclose(large, [[[0, 0.25, 0.75, 1]]], atol=1e-6)
    # Two thirds: the middle pixel is shared half and half.
    row = np.array([[[0, 1, 0.5]]], np.float32)
    np.testing.assert_allclose(resize(row, (1, 2)), [[[1 / 3, 2 / 3]]], atol=1e-6)


@pytest.mark.parametrize("size", [(5, 5), (8, 8), (9, 3), (40, 7), (33, 41)])
def test_resize_mirrors_with_its_picture_and_keeps_a_shrunk_mean(size):
    values = np.random.default_rng(1).random((1, 28, 28), dtype=np.float32)
    small = resize(values, size)
    assert small.shape == (1, *size)
    np.testing.assert_allclose(resize(values[:, ::-1, ::-1], size), small[:, ::-1, ::-1], atol=1e-6)
    if max(size) < 28:
        assert small.mean() == pytest.approx(values.mean(), abs=1e-5)
    assert values.min() <= small.min() <= small.max() <= values.max()


def test_grey_is_rec_601_and_white_stays_1():
    assert to_grey(np.ones((3, 1, 1), np.float32)).tolist() == [[1]]
    values = np.array([1, 0.5, 0.25], np.float32).reshape(3, 1, 1)
    np.testing.assert_allclose(to_grey(values), [[0.299 + 0.2935 + 0.0285]], rtol=1e-6)
