from io import BytesIO

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from PIL import ExifTags, Image

from pipeline.config import load_config
from pipeline.errors import UserError
from schemas.image import ImageReference
from stages.deduplicate_images import _shown
from stages.gather_images import to_image
from stages.imaging.config import GatherConfig
from stages.imaging.elements import GatheredImage, ImageTask
from stages.imaging.encode import EncodeConfig, re_encode
from stages.imaging.hashing import sha256
from stages.imaging.sources import Payload
from stages.re_encode_images import STAGE, ReEncodeImages
from stages.store_images import StoreImages

ORIENTATION = ExifTags.Base.Orientation


def gathered(data, config=None, url="http://a.example/i"):
    limits = GatherConfig(re_encode=config or EncodeConfig()).limits
    task = ImageTask(ImageReference(url))
    return to_image(task, Payload(data, (), 200, "warc"), limits)


def stored(data, **fields):
    config = EncodeConfig(**fields)
    return re_encode(gathered(data, config), config)


def opened(image):
    with Image.open(BytesIO(image.data)) as file:
        file.load()
    record = image.record
    assert (record.image_id, record.n_bytes) == (sha256(image.data), len(image.data))
    assert (record.format, record.width, record.height) == (file.format.lower(), *file.size)
    return file


def drawn(width, height, format="png", **more):
    out = BytesIO()
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    picture.paste("red", (0, 0, width // 2, height // 2))
    picture.save(out, format, **more)
    return out.getvalue()


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_the_place_where_a_photograph_was_taken_is_gone(shared_data, format):
    data = (shared_data / "images/exif_gps.jpg").read_bytes()
    with Image.open(BytesIO(data)) as before:
        assert len(before.getexif().get_ifd(ExifTags.IFD.GPSInfo)) == 5
    after = opened(stored(data, format=format))
    assert not after.getexif()
    kept = opened(stored(data, format=format, keep_metadata=True))
    assert len(kept.getexif().get_ifd(ExifTags.IFD.GPSInfo)) == 5


@pytest.mark.parametrize("name", ["exif_gps_typeerror.jpg", "flower2.jpg", "flower2.webp",
                                  "hopper.jpg", "color_snakes.png", "rgb.jpg", "hopper.png",
                                  "photoshop-200dpi.jpg", "exif_text.png"])  # fmt: skip
def test_of_what_files_say_beside_the_picture_only_the_colours_stay(shared_data, name):
    data = (shared_data / "images" / name).read_bytes()
    with Image.open(BytesIO(data)) as before:
        profile = before.info.get("icc_profile")
    for format in ("jpeg", "png", "webp"):
        image = stored(data, format=format)
        after = opened(image)
        assert after.mode == "RGB"
        assert after.info.get("icc_profile") == profile
        assert {"exif", "xmp", "comment", "photoshop"}.isdisjoint(after.info)
        assert not getattr(after, "text", {})
        assert b"adobe.com/xap" not in image.data


def test_a_profile_of_other_colours_than_rgb_is_left_out(shared_data):
    data = (shared_data / "images/pport_g4.tif").read_bytes()
    assert b"GRAYXYZ" in data
    record = gathered(drawn(40, 30)).record
    image = GatheredImage(record, data, Image.new("RGB", (40, 30)))
    assert "icc_profile" not in opened(re_encode(image, EncodeConfig())).info


def test_the_orientation_is_applied_and_then_gone():
    exif = Image.Exif()
    exif[ORIENTATION], exif[ExifTags.Base.Artist] = 6, "A. Painter"
    data = drawn(40, 20, "jpeg", exif=exif)
    for keep in (False, True):
        after = opened(stored(data, format="png", keep_metadata=keep))
        assert after.size == (20, 40)  # turned clockwise: the red quarter goes to the right
        red = after.getpixel((15, 5))
        assert red[0] > 200
        assert max(red[1:]) < 60
        assert after.getexif().get(ExifTags.Base.Artist) == ("A. Painter" if keep else None)
        assert ORIENTATION not in after.getexif()


def test_an_orientation_in_xmp_that_is_kept_is_said_to_be_upright(shared_data):
    data = (shared_data / "images/xmp_tags_orientation.png").read_bytes()
    after = opened(stored(data, format="png", keep_metadata=True))
    assert after.getexif().get(ORIENTATION) == 1


@pytest.mark.parametrize(("size", "max_side", "wanted"), [
    ((1600, 1000), 800, (800, 500)), ((1000, 1600), 800, (500, 800)),
    ((2000, 2000), 1000, (1000, 1000)),  # more than CLIP's side is kept of the pixels
    ((300, 200), 800, (300, 200)), ((900, 1), 300, (300, 1)),
])  # fmt: skip
def test_no_side_is_longer_than_the_limit_and_nothing_is_enlarged(size, max_side, wanted):
    data = drawn(*size)
    config = EncodeConfig(max_side=max_side)
    image = gathered(data, config)
    assert max(image.pixels.size) >= max(wanted)
    assert opened(re_encode(image, config)).size == wanted


def test_the_same_picture_makes_the_same_bytes_and_only_they_change():
    data = drawn(1000, 500)
    config = EncodeConfig(max_side=400, format="webp", quality=80)
    before = gathered(data, config)
    after = re_encode(before, config)
    assert after.data == re_encode(gathered(data, config), config).data
    of_file = {"image_id", "format", "width", "height", "n_bytes", "frames"}
    for name in before.record.__slots__:
        if name not in of_file:
            assert getattr(after.record, name) == getattr(before.record, name)
    assert after.pixels is before.pixels


def test_of_an_animation_the_first_frame_is_stored():
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    out = BytesIO()
    frames[0].save(out, "gif", save_all=True, append_images=frames[1:])
    assert gathered(out.getvalue()).record.frames == 2
    image = stored(out.getvalue(), format="png")
    assert image.record.frames == opened(image).n_frames == 1
    assert opened(image).getpixel((3, 3)) == (255, 0, 0)


def test_a_picture_that_cannot_be_encoded_fails_and_no_other(beam_pipeline):
    whole = gathered(drawn(40, 30))
    broken = GatheredImage(gathered(drawn(20, 20), url="http://b.example/i").record, b"", None)
    with beam_pipeline as p:
        images = p | beam.Create([whole, broken]).with_output_types(GatheredImage)
        out = images | ReEncodeImages(EncodeConfig())
        assert_that(out.kept | beam.Map(lambda i: i.record.url), equal_to([whole.record.url]))
        said = out.failed | beam.Map(lambda f: (f.url, f.stage))
        assert_that(said, equal_to([("http://b.example/i", STAGE)]), "failed")


def test_pictures_that_become_one_file_keep_their_own_thumbnails(beam_pipeline, tmp_path):
    """A white picture with one grey pixel is white at an eighth of its size."""
    config = EncodeConfig(max_side=32)
    white = Image.new("RGB", (512, 512), "white")
    images = []
    for number, colour in enumerate([(255, 255, 255), (250, 250, 250)]):
        white.putpixel((9, 9), colour)
        out = BytesIO()
        white.save(out, "png")
        images.append(re_encode(gathered(out.getvalue(), config, f"http://a/{number}"), config))
    first, second = images
    assert first.data == second.data

    def check(records):
        places = {record.url: (record.store_file, record.store_row) for record in records}
        assert len(set(places.values())) == len({image.record.luma for image in images})
        # What stands for equal bytes does not hang on where they lie.
        [(image_id, _, *place)] = _shown((first.record.image_id, [(r, True) for r in records]))
        assert (image_id, tuple(place)) == (first.record.image_id, places["http://a/0"])

    with beam_pipeline as p:
        created = p | beam.Create(images).with_output_types(GatheredImage)
        assert_that((created | StoreImages(str(tmp_path))).kept, check)


def test_a_config_says_what_is_wrong():
    config = load_config("mmc4", ["gather_images.re_encode.max_side=800"])
    assert config.gather_images.re_encode == EncodeConfig()
    assert load_config("mmc4").gather_images.re_encode is None
    for wrong, said in (("max_side=8", "max_side is 8, not in 32..16383"),
                        ("quality=0", "quality is 0, not in 1..100"),
                        ("format=gif", "must be one of jpeg, webp, png")):  # fmt: skip
        with pytest.raises(UserError, match=said):
            load_config("mmc4", [f"gather_images.re_encode.{wrong}"])
