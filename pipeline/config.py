"""A run's config: YAML in, frozen dataclasses out, every key checked before a worker starts.

A section of the file is the config of a stage; the keys of a rule are its fields. What is unknown,
of the wrong type or out of range is an error that names the file and the key.
"""

import copy
import dataclasses
import hashlib
import importlib.resources
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from filters.base import On, Rule, load_all
from filters.opt_out_lists import check_files
from filters.pages.has_image import HasImage
from pipeline.errors import UserError
from stages.clip import ClipConfig
from stages.dedup.by_images import ByImagesConfig
from stages.dedup.config import DedupConfig
from stages.dedup.semantic import SemanticConfig
from stages.extraction.config import ExtractionConfig
from stages.filter_text import TextRules
from stages.heads import HeadConfig, Policy
from stages.imaging.config import GatherConfig
from stages.join_images import JoinConfig
from stages.place_images import PlaceConfig
from stages.read_pages import ReadConfig

Rules = tuple[Rule, ...]


@dataclass(frozen=True)
class ImageRules:
    """Rules on images.

    Attributes:
      decoded: need the decoded image only; asked before a model sees it.
      embedded: need its CLIP feature.
      scored: need its scores or how many documents show it.
    """

    decoded: Rules = ()
    embedded: Rules = ()
    scored: Rules = ()


@dataclass(frozen=True)
class WriteConfig:
    """What is written.

    Attributes:
      shards: number of shards of each table; None takes one for each 512 MB of input.
      image_bytes: write the bytes of the images into the images table.
      clip_features: write their CLIP features.
      signatures: keep what tells copies of the documents, about 600 bytes each, so that a later
        crawl can be deduplicated against the corpus (`deduplicate.against`).
    """

    shards: int | None = None
    image_bytes: bool = True
    clip_features: bool = True
    signatures: bool = True

    def __post_init__(self) -> None:
        if self.shards is not None and not 1 <= self.shards <= 100_000:
            raise ValueError(f"write: shards is {self.shards}, not in 1..100000")


@dataclass(frozen=True)
class RunConfig:
    """How failures end a run.

    Attributes:
      max_failure_ratio: share of a stage's elements that may fail before its phase is refused.
    """

    max_failure_ratio: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.max_failure_ratio <= 1:
            raise ValueError(f"run: max_failure_ratio is {self.max_failure_ratio}, not in 0..1")


@dataclass(frozen=True)
class Config:
    """All sections of a config file, in the order in which they are asked.

    Attributes:
      opt_out_lists: local files of hosts, URLs and SHA-256 that are not to be used; pages, image
        URLs and images are held against them before any rule; see `filters.opt_out_lists`.
      read: how WARC files are read.
      filter_pages: what a page must be to be parsed.
      extract: how a page becomes a document of texts and images.
      filter_text: what documents and their texts must be.
      deduplicate: which documents are one; null keeps them all.
      filter_references: which image URLs are wanted.
      gather_images: where images come from, and how; null makes a corpus of image URLs.
      filter_images: what an image must be.
      clip: the model that images and sentences are compared with; null compares none.
      heads: what is unwanted in an image, by name; ``nsfw`` has a column of its own.
      deduplicate_by_images: which documents are one by their images; null compares none.
      deduplicate_images: which images are one to the model; null compares none.
      join_images: what becomes of a document whose images were left out.
      filter_documents: what a document with its images must be.
      place_images: how images are matched with sentences.
      filter_placed: what a placed document must be.
      write: what is written.
      run: when a run is refused.
    """

    opt_out_lists: tuple[str, ...] = ()
    read: ReadConfig = field(default_factory=ReadConfig)
    filter_pages: Rules = ()
    extract: ExtractionConfig = field(default_factory=ExtractionConfig)
    filter_text: TextRules = field(default_factory=TextRules)
    deduplicate: DedupConfig | None = None
    filter_references: Rules = ()
    gather_images: GatherConfig | None = None
    filter_images: ImageRules = field(default_factory=ImageRules)
    clip: ClipConfig | None = None
    heads: dict[str, HeadConfig] = field(default_factory=dict)
    deduplicate_by_images: ByImagesConfig | None = None
    deduplicate_images: SemanticConfig | None = None
    join_images: JoinConfig = field(default_factory=JoinConfig)
    filter_documents: Rules = ()
    place_images: PlaceConfig = field(default_factory=PlaceConfig)
    filter_placed: Rules = ()
    write: WriteConfig = field(default_factory=WriteConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        check_files(self.opt_out_lists)
        if self.heads and not self.clip:
            raise ValueError("heads: the scores come from CLIP features, so clip must be set")
        for name in self.heads:
            if not re.fullmatch("[a-z][a-z0-9_]*", name):
                raise ValueError(f"heads: {name!r} is no name: letters, digits and _ in lower case")
        if self.filter_images.embedded and not self.clip:
            raise ValueError("filter_images.embedded: looks at CLIP features, so clip must be set")
        if self.deduplicate_by_images and not self.gather_images:
            raise ValueError(
                "deduplicate_by_images: compares images, so gather_images must be set too, "
                "or deduplicate_by_images: null"
            )
        if self.deduplicate_images and not (self.clip and self.gather_images):
            raise ValueError(
                "deduplicate_images: compares CLIP features, so gather_images and clip must be set"
            )
        for rule in self.filter_pages:
            if isinstance(rule, HasImage) and rule.min_side > self.extract.min_side:
                raise ValueError(
                    f"filter_pages.has_image: min_side is {rule.min_side}, more than "
                    f"extract.min_side, {self.extract.min_side}: images would be lost unseen"
                )
        if self.place_images.method != "dom" and not (self.clip and self.gather_images):
            raise ValueError(
                f"place_images: method {self.place_images.method} needs gather_images and clip; "
                "use method: dom to keep natural order only"
            )

    @property
    def joining(self) -> JoinConfig:
        """How images are joined: what a head drops a document for counts, too."""
        names = tuple(name for name, head in sorted(self.heads.items())
                      if head.policy is Policy.DROP_DOCUMENT)  # fmt: skip
        join = self.join_images
        return dataclasses.replace(join, reject_document=(*join.reject_document, *names))


# Which rules each list may hold. A name that two kinds share is looked up in this order.
RULES_IN = {
    "filter_pages": (On.PAGE,),
    "filter_text.paragraphs": (On.TEXT,),
    "filter_text.documents": (On.TEXT, On.DOCUMENT),
    "filter_references": (On.REFERENCE,),
    "filter_images.decoded": (On.IMAGE,),
    "filter_images.embedded": (On.IMAGE,),
    "filter_images.scored": (On.IMAGE,),
    "filter_documents": (On.DOCUMENT,),
    "filter_placed": (On.PLACED,),
}


def presets() -> list[str]:
    """Names of the configs that ship."""
    folder = importlib.resources.files("configs")
    return sorted(Path(f.name).stem for f in folder.iterdir() if f.name.endswith(".yaml"))


def load_config(name: str, sets: Sequence[str] = ()) -> Config:
    """Reads a config file.

    Args:
      name: a path, or the name of a preset.
      sets: ``section.key=value`` each, the value in YAML; applied in order.

    Raises:
      UserError: the file, a key or a value is wrong.
    """
    return build_config(_read(name), name, sets)


def build_config(data: Mapping[str, Any], source: str, sets: Sequence[str] = ()) -> Config:
    """A config from plain data with `sets` applied; `source` is named in errors."""
    load_all()
    changed = copy.deepcopy(dict(data))
    for assignment in sets:
        _set(changed, assignment)
    config = _build(Config, changed, "", source)
    assert isinstance(config, Config)
    return config


def build_dataclass(cls: type, source: str, sets: Sequence[str]) -> Any:
    """An instance of a dataclass from ``key=value`` settings alone, as strict as a config."""
    data: dict[str, Any] = {}
    for assignment in sets:
        _set(data, assignment)
    return _build(cls, data, "", source)


def resolved(config: Any) -> Any:
    """The config as plain data, every default written out; `build_config` reads it back."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        values = {f.name: resolved(getattr(config, f.name)) for f in dataclasses.fields(config)}
        return {type(config).name: values} if _is_rule(config) else values  # type: ignore[attr-defined]
    if isinstance(config, tuple):
        return [resolved(item) for item in config]
    if isinstance(config, StrEnum):
        return str(config)
    if isinstance(config, Mapping):
        return {name: resolved(item) for name, item in config.items()}
    return config


def digest_of(data: Any) -> str:
    """SHA-256 of plain data in a canonical form."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _is_rule(value: Any) -> bool:
    return isinstance(getattr(type(value), "on", None), On)


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping: the first would be lost without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _read(name: str, chain: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Reads a config and what it extends; `chain` are the files that extend it."""
    path = Path(name)
    if not path.is_file() and name in presets():
        path = Path(str(importlib.resources.files("configs") / f"{name}.yaml"))
    if path.resolve() in chain:
        raise UserError(f"{chain[-1]}: extends: {name} extends this file in turn")
    try:
        data = yaml.load(path.read_text("utf-8"), _Loader)
    except FileNotFoundError:
        known = ", ".join(presets())
        where = f"{chain[-1]}: extends: {name}" if chain else name
        raise UserError(f"{where}: no such file, and no preset of that name ({known})") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{name}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{name}: is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise UserError(f"{name}: a config is a mapping of sections, not {_kind(data)}")
    base = data.pop("extends", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise _wrong(base, "the name of a config", "extends", name)
    near = path.parent / base
    found = str(near) if near.is_file() else base
    return _merged(_read(found, (*chain, path.resolve())), data)


def _merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Mappings are merged key by key; anything else, a list of rules too, is replaced."""
    out = dict(base)
    for key, value in change.items():
        old = out.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        out[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return out


def _set(data: dict[str, Any], assignment: str) -> None:
    """Applies ``a.b=value``; in a list of rules ``b`` is the name of a rule."""
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise UserError(f"--set {assignment}: write section.key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"--set {assignment}: the value is not YAML") from None
    *parents, last = key.split(".")
    place: Any = data
    for depth, name in enumerate(parents):
        if isinstance(place, list):
            place = _rule_in(place, name, f"--set {assignment}")
            continue
        if place.get(name) is None:
            place[name] = {}
        place = place[name]
        if not isinstance(place, dict | list):
            raise UserError(f"--set {assignment}: {'.'.join(parents[: depth + 1])} has no keys")
    if isinstance(place, list):
        raise UserError(f"--set {assignment}: name the field of the rule: {key}.FIELD=value")
    place[last] = value


def _rule_in(rules: list[Any], name: str, source: str) -> dict[str, Any]:
    for position, rule in enumerate(rules):
        if rule == name:
            rules[position] = rule = {name: {}}
        if isinstance(rule, dict) and list(rule) == [name]:
            rule[name] = fields = rule[name] or {}
            if not isinstance(fields, dict):
                raise _wrong(fields, "the fields of the rule", name, source)
            return fields
    raise UserError(f"{source}: the list has no rule {name!r}")


def _build(hint: Any, value: Any, key: str, source: str) -> Any:
    """Turns plain data into an instance of `hint`; `key` says where in `source` it stands."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if key in RULES_IN:
        return _rules(value, key, source)
    if isinstance(hint, types.UnionType) and type(None) in arguments:
        if value is None:
            return None
        return _build(next(a for a in arguments if a is not type(None)), value, key, source)
    if dataclasses.is_dataclass(hint):
        return _build_dataclass(hint, value, key, source)
    if origin is dict:
        if not isinstance(value, dict | None):
            raise _wrong(value, "a mapping of names", key, source)
        # Null takes out what an extended config put in.
        return {
            str(name): _build(arguments[1], item, f"{key}.{name}", source)
            for name, item in (value or {}).items()
            if item is not None
        }
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(value, "a list", key, source)
        if arguments[1:] == (...,):
            hints = [arguments[0]] * len(value)
        elif len(value) == len(arguments):
            hints = list(arguments)
        else:
            raise _wrong(value, f"a list of {len(arguments)}", key, source)
        items = enumerate(zip(hints, value, strict=True))
        return tuple(_build(h, item, f"{key}[{i}]", source) for i, (h, item) in items)
    if origin is typing.Literal:
        if value not in arguments:
            raise _wrong(value, "one of " + ", ".join(map(str, arguments)), key, source)
        return value
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        if value not in list(hint):
            raise _wrong(value, "one of " + ", ".join(hint), key, source)
        return hint(value)
    if hint is float and type(value) is int:
        return float(value)
    if hint in (int, float, bool, str):
        if type(value) is not hint:
            raise _wrong(value, {int: "a whole number", float: "a number", bool: "true or false",
                                 str: "a text"}[hint], key, source)  # fmt: skip
        return value
    raise TypeError(f"{key}: no config can hold {hint!r}")


def _build_dataclass(cls: Any, value: Any, key: str, source: str) -> Any:
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise _wrong(value, "a mapping", key, source)
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls) if f.init]
    for name in value:
        if name not in names:
            where = f"{key}.{name}" if key else str(name)
            raise UserError(f"{source}: {where}: unknown key; known here: {', '.join(names)}")
    built = {
        name: _build(hints[name], item, f"{key}.{name}" if key else name, source)
        for name, item in value.items()
    }
    try:
        return cls(**built)
    except (ValueError, TypeError, OSError) as error:
        # Messages of the stages' own checks begin with the section, which the key says already.
        text = str(error).removeprefix(f"{key.rpartition('.')[2]}: ")
        raise UserError(f"{source}: {key + ': ' if key else ''}{text}") from None


def _rules(value: Any, key: str, source: str) -> Rules:
    if value is None:
        value = []
    if not isinstance(value, list):
        raise _wrong(value, "a list of rules", key, source)
    registry = load_all()
    rules = []
    for item in value:
        entry = {item: {}} if isinstance(item, str) else item
        if not isinstance(entry, dict) or len(entry) != 1:
            raise _wrong(item, "a rule: a name, or a name and its fields", key, source)
        [(name, fields)] = entry.items()
        kinds = RULES_IN[key]
        cls = next((registry[on, name] for on in kinds if (on, name) in registry), None)
        if cls is None:
            known = sorted({known for on, known in registry if on in kinds})
            raise UserError(f"{source}: {key}: no rule {name!r}; known here: {', '.join(known)}")
        rules.append(_build_dataclass(cls, fields, f"{key}.{name}", source))
    return tuple(rules)


def _wrong(value: Any, wanted: str, key: str, source: str) -> UserError:
    return UserError(f"{source}: {key}: must be {wanted}, not {_kind(value)} {value!r}")


def _kind(value: Any) -> str:
    names = {dict: "the mapping", list: "the list", str: "the text", bool: "the truth value",
             int: "the number", float: "the number", type(None): "the empty value"}  # fmt: skip
    return names.get(type(value), type(value).__name__)
