import io
import itertools
import json
import pickle
import subprocess
import sys

import imagehash
import numpy as np
import pytest
from PIL import Image

from stages.imaging.decode import FORMATS, DecodeError, DecodeLimits, decode, sniff
from stages.imaging.hashing import contrast, distance, mean_colour, phash
from stages.imaging.refusal import Reason

LIMITS = DecodeLimits()
EVERYTHING = DecodeLimits(formats=FORMATS)
# Files that Pillow opens but that are broken further in: the reason is Pillow's own.
BROKEN = {
    "broken_data_stream.png": Reason.UNDECODABLE,
    "crash-0da013a13571cc8eb457a39fee8db18f8a3c7127.tif": Reason.UNDECODABLE,
    "crash-74d2a78403a5a59db1fb0a2b8735ac068a75f6e3.tif": Reason.UNDECODABLE,
    "truncated_end_chunk.png": Reason.TRUNCATED,
    "apng/chunk_no_fctl.png": Reason.UNDECODABLE,
}


def encoded(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def reason_of(data, limits=LIMITS):
    with pytest.raises(DecodeError) as caught:
        decode(data, limits)
    return caught.value.reason


def noise(width, height, channels=3):
    values = np.random.default_rng(7).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(values.squeeze())


@pytest.mark.parametrize(
    "data", [b"GIF89a" + bytes(8), encoded(Image.new("L", (9, 9)), "AVIF")[:99]]
)
def test_what_is_said_of_a_broken_header_is_the_same_in_every_run(data):
    with pytest.raises(DecodeError) as caught:
        decode(data, EVERYTHING)
    assert caught.value.reason is Reason.UNDECODABLE
    assert caught.value.detail == f"{sniff(data)}: its header is broken"


def test_every_real_image_decodes_as_its_index_says_or_is_refused(shared_data):
    index = json.loads((shared_data / "images" / "index.json").read_text())
    refused, drift = {}, []
    for entry in index:
        data = (shared_data / "images" / entry["path"]).read_bytes()
        assert sniff(data) == entry["fmt"].lower(), entry["path"]
        try:
            decoded = decode(data, EVERYTHING)
        except DecodeError as error:
            refused[entry["path"]] = error.reason
            continue
        size = tuple(entry["size"])
        # The index was made after Pillow had turned the TIFFs.
        if entry.get("orient") in (5, 6, 7, 8) and entry["fmt"] != "TIFF":
            size = size[::-1]
        assert (decoded.width, decoded.height) == size, entry["path"]
        assert decoded.frames == entry["frames"], entry["path"]
        assert decoded.format == entry["fmt"].lower()
        assert decoded.pixels.mode == "RGB"
        grey, shorter = decoded.pixels.convert("L"), min(decoded.pixels.size)
        hashed = imagehash.phash(grey.reduce(max(1, shorter // 192)))
        assert decoded.phash == str(hashed), entry["path"]
        hashed = imagehash.dhash(grey.reduce(max(1, shorter // 128)))
        assert decoded.dhash == str(hashed), entry["path"]
        drift.append(distance(decoded.phash, phash(decoded.pixels)))
        assert 0 <= decoded.contrast <= 0.5
    assert refused == BROKEN
    # Hashed small or whole, a picture is the same but for drawings of single pixels.
    assert np.mean(np.array(drift) <= 4) > 0.98
    assert len(index) == 678


def test_real_images_take_less_than_600_megabytes(shared_data):
    code = r"""
import pathlib, re, sys
from stages.imaging.decode import FORMATS, DecodeError, DecodeLimits, decode
limits, outcomes = DecodeLimits(FORMATS), []
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.*")):
    try:
        outcomes.append(decode(path.read_bytes(), limits).format)
    except DecodeError as error:
        outcomes.append(str(error.reason))
# Not ru_maxrss: that begins with the peak of the process that was forked.
peak = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]
print(len(outcomes), peak)
"""
    arguments = [sys.executable, "-c", code, str(shared_data / "images")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    files, kilobytes = map(int, done.stdout.split())
    assert files >= 678
    assert kilobytes < 600_000


def test_only_listed_formats_are_decoded(shared_data):
    index = json.loads((shared_data / "images" / "index.json").read_text())
    for entry in index:
        if entry["fmt"] in ("AVIF", "TIFF", "BMP", "ICO"):
            data = (shared_data / "images" / entry["path"]).read_bytes()
            assert reason_of(data) is Reason.UNLISTED_FORMAT, entry["path"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"<html><body>not found</body></html>", Reason.HTML),
        (b"\n<!-- 404 --> <!DOCTYPE HTML PUBLIC>", Reason.HTML),
        (b"BM is how this text starts, and it is long enough", Reason.NOT_AN_IMAGE),
        (b"%PDF-1.7", Reason.NOT_AN_IMAGE),
        (b"\xef\xbb\xbf\n<svg xmlns='http://www.w3.org/2000/svg'/>", Reason.SVG),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg/>", Reason.SVG),
        (b"<?xml version='1.0'?><rss/>", Reason.NOT_AN_IMAGE),
        (b"\xff\xd8\xff", Reason.UNDECODABLE),
        (b"GIF89a", Reason.UNDECODABLE),
    ],
)
def test_what_is_no_image_is_refused_with_a_reason(data, reason):
    assert reason_of(data) is reason


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_truncated_image_is_refused(format):
    data = encoded(noise(200, 150), format)
    assert decode(data, LIMITS).format == format.lower()
    assert reason_of(data[: len(data) // 2]) is Reason.TRUNCATED


def test_bytes_broken_at_random_never_raise_anything_else(shared_data):
    random = np.random.default_rng(3)
    index = json.loads((shared_data / "images" / "index.json").read_text())
    outcomes = set()
    for entry in index[::4]:
        data = bytearray((shared_data / "images" / entry["path"]).read_bytes())
        for _ in range(3):
            for place in random.integers(0, len(data), 8):
                data[place] = random.integers(0, 256)
            try:
                decode(bytes(data), EVERYTHING)
                outcomes.add("decoded")
            except DecodeError as error:
                outcomes.add(error.reason)
    assert {"decoded", Reason.UNDECODABLE, Reason.TRUNCATED} <= outcomes


def test_pixels_are_counted_before_they_are_made():
    limits = DecodeLimits(max_pixels=10_000)
    assert reason_of(encoded(noise(101, 100), "PNG"), limits) is Reason.TOO_MANY_PIXELS
    assert decode(encoded(noise(100, 100), "PNG"), limits).width == 100
    bomb = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(bomb) < 100_000
    assert reason_of(bomb) is Reason.TOO_MANY_PIXELS


def test_a_warning_of_a_bomb_is_an_error(monkeypatch):
    data = encoded(noise(200, 200), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)
    assert reason_of(data) is Reason.TOO_MANY_PIXELS


def test_a_jpeg_of_endless_scans_is_refused(photo):
    data = photo(320, 240, progressive=True)
    assert decode(data, LIMITS).format == "jpeg"
    start = data.rindex(b"\xff\xda")
    last_scan = data[start:-2]
    slow = data[:-2] + last_scan * 200 + b"\xff\xd9"
    assert reason_of(slow) is Reason.TOO_MANY_SCANS


def test_frames_are_counted_and_limited():
    frames = [noise(20, 20), Image.new("RGB", (20, 20), "red"), Image.new("RGB", (20, 20), "blue")]
    for format in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
        assert decode(data, LIMITS).frames == 3
        assert reason_of(data, DecodeLimits(max_frames=2)) is Reason.TOO_MANY_FRAMES


def test_the_first_frame_is_what_is_seen():
    red, blue = Image.new("RGB", (20, 20), "red"), Image.new("RGB", (20, 20), "blue")
    data = encoded(red, "GIF", save_all=True, append_images=[blue])
    assert decode(data, LIMITS).pixels.getpixel((5, 5)) == (255, 0, 0)


def test_a_large_jpeg_is_decoded_small_and_reported_large():
    # Not symmetric: half the frequencies of what is, are noise around nothing.
    drawn = Image.effect_mandelbrot((3000, 2000), (-2, -1.2, 1, 0.8), 60).convert("RGB")
    data = encoded(drawn, "JPEG", quality=80)
    decoded = decode(data, LIMITS)
    assert (decoded.width, decoded.height) == (3000, 2000)
    assert decoded.pixels.size == (1500, 1000)
    whole = Image.open(io.BytesIO(data)).convert("RGB")
    assert distance(decoded.phash, phash(whole)) <= 2


def test_other_formats_are_reduced_after_decoding():
    decoded = decode(encoded(Image.new("RGB", (3000, 2100), "green"), "PNG"), LIMITS)
    assert (decoded.width, decoded.height) == (3000, 2100)
    assert decoded.pixels.size == (1000, 700)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    # What the camera saw: red above, blue below, black at the left edge.
    upright = Image.new("RGB", (64, 48), "blue")
    upright.paste("red", (0, 0, 64, 24))
    upright.paste("black", (0, 0, 16, 48))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encoded(stored, "JPEG", exif=exif, quality=95), LIMITS)
    assert (decoded.width, decoded.height) == (64, 48)
    assert decoded.pixels.size == (64, 48)
    for point, colour in {(40, 8): (255, 0, 0), (40, 40): (0, 0, 255), (5, 20): (0, 0, 0)}.items():
        assert np.abs(np.subtract(decoded.pixels.getpixel(point), colour)).max() < 12


def test_transparency_is_shown_on_white():
    image = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 10, 10))
    image.putpixel((15, 5), (0, 0, 0, 128))
    pixels = decode(encoded(image, "PNG"), LIMITS).pixels
    assert pixels.getpixel((2, 2)) == (255, 0, 0)
    assert pixels.getpixel((18, 2)) == (255, 255, 255)
    assert pixels.getpixel((15, 5)) == (127, 127, 127)
    palette = image.convert("P")
    palette.info["transparency"] = palette.getpixel((18, 2))
    pixels = decode(encoded(palette, "GIF"), LIMITS).pixels
    assert pixels.getpixel((18, 2)) == (255, 255, 255)


def test_sixteen_bits_become_eight():
    ramp = np.linspace(0, 65_535, 256, dtype=np.uint16).reshape(1, 256).repeat(4, axis=0)
    pixels = decode(encoded(Image.fromarray(ramp), "PNG"), LIMITS).pixels
    values = np.asarray(pixels)[0, :, 0]
    assert values[0] == 0
    assert values[-1] == 255
    assert np.abs(values.astype(int) - np.arange(256)).max() <= 1


def test_cmyk_becomes_rgb():
    data = encoded(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", quality=95)
    red = decode(data, LIMITS).pixels.getpixel((9, 9))
    assert np.abs(np.subtract(red, (255, 0, 0))).max() < 12


def test_a_jpeg_with_further_pictures_behind_it_is_a_still():
    data = encoded(noise(64, 64), "MPO", save_all=True, append_images=[noise(32, 32)])
    decoded = decode(data, LIMITS)
    assert (decoded.format, decoded.frames) == ("jpeg", 1)


def test_decoded_pixels_pickle():
    decoded = decode(encoded(noise(64, 64), "PNG"), LIMITS)
    assert pickle.loads(pickle.dumps(decoded)).pixels.tobytes() == decoded.pixels.tobytes()


def test_hash_of_a_picture_without_detail_is_the_same_whatever_its_colour():
    assert {phash(Image.new("RGB", (50, 50), c)) for c in ("white", "navy", (1, 2, 3))} == {
        "8000000000000000"
    }


def test_hashes_of_one_picture_are_near_and_of_two_are_far(photo):
    image = Image.open(io.BytesIO(photo(640, 480)))
    small = image.resize((224, 168))
    other = Image.open(io.BytesIO(photo(640, 480))).transpose(Image.Transpose.ROTATE_90)
    assert distance(phash(image), phash(small)) <= 4
    assert distance(phash(image), phash(other)) >= 16


def test_mean_colour():
    halves = Image.new("RGB", (10, 10), (0, 100, 255))
    halves.paste((200, 100, 1), (0, 0, 5, 10))
    assert mean_colour(halves) == "646480"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP"])
def test_a_decoder_that_takes_too_long_gets_no_more_bytes(format, monkeypatch):
    looks = itertools.count()
    monkeypatch.setattr("stages.imaging.decode.time.thread_time", lambda: next(looks))
    data = encoded(noise(600, 400), format)
    assert reason_of(data, DecodeLimits(FORMATS, max_seconds=15)) is Reason.TOO_SLOW
    assert decode(data, DecodeLimits(FORMATS, max_seconds=10_000)).width == 600


def test_contrast():
    assert contrast(Image.new("RGB", (10, 10), "teal")) == 0
    halves = Image.new("L", (10, 10), 0)
    halves.paste(255, (0, 0, 5, 10))
    assert contrast(halves) == 0.5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"formats": ("jpg",)}, "unknown formats"),
        ({"max_pixels": 0}, "max_pixels is 0"),
        ({"max_pixels": 10**9}, "max_pixels is 1000000000"),
        ({"max_frames": 0}, "max_frames is 0"),
        ({"reduced_side": 8}, "reduced_side is 8"),
        ({"max_seconds": 0}, "max_seconds is 0"),
    ],
)
def test_limits_are_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        DecodeLimits(**fields)
