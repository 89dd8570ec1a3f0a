import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from filters.base import load_all
from pipeline import reference
from pipeline.cli import app
from pipeline.config import load_config, presets, resolved


def weft(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("preset", presets())
def test_a_printed_config_is_the_config(preset: str, tmp_path: Path) -> None:
    code, printed, _ = weft("config", preset)
    assert code == 0
    file = tmp_path / "printed.yaml"
    file.write_text(printed, "utf-8")
    assert load_config(str(file)) == load_config(preset)


def test_a_set_key_is_printed() -> None:
    _, printed, _ = weft("config", "mmc4", "--set", "write.shards=7", "--json")
    assert json.loads(printed)["write"]["shards"] == 7
    assert json.loads(printed) == resolved(load_config("mmc4", ["write.shards=7"]))


def test_a_check_says_sound_or_what_is_wrong() -> None:
    assert weft("config", "mmc4", "--check") == (0, "sound: mmc4\n", "")
    code, out, error = weft("config", "mmc4", "--set", "write.shards=0", "--check")
    assert (code, out) == (2, "")
    assert error == "error: mmc4: write: shards is 0, not in 1..100000\n"


@pytest.mark.parametrize("arguments", [(), ("mmc4", "--docs")])
def test_asks_for_a_config_or_the_reference(arguments: tuple[str, ...]) -> None:
    code, _, error = weft("config", *arguments)
    assert code == 2
    assert "give a config to print, or --docs" in error


def test_the_reference_names_every_key_and_rule() -> None:
    code, page, _ = weft("config", "--docs")
    assert code == 0
    for key, *_ in reference.all_keys():
        assert (f"`{key}`" if "." in key else f"## {key}\n") in page
    for (_, name), cls in load_all().items():
        assert f"### {name}\n" in page
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            assert f"- `{field.name}`" in page


def test_every_key_is_explained() -> None:
    assert [key for key, _, _, about in reference.all_keys() if not about] == []


def test_attributes_may_share_a_line_take_several_and_come_from_a_base() -> None:
    @dataclass
    class Base:
        """Attributes:
        low, high: bounds,
          both inclusive.
        name: of it.
        """

    @dataclass
    class Sample(Base):
        """First.

        Attributes:
          name: another
            line.

          last: one.

        Raises:
          ValueError: never.
        """

    assert reference.attributes(Sample) == {
        "low": "bounds, both inclusive.",
        "high": "bounds, both inclusive.",
        "name": "another line.",
        "last": "one.",
    }
