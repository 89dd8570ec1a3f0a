"""The reference of every key of a config, made from the classes that read the keys.

What a key means stands once, in the docstring of the class that holds it; this prints it.
"""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import yaml

from filters.base import On, load_all
from pipeline.config import RULES_IN, Config, resolved

ABOUT_RULES = {
    On.PAGE: "Rules on pages, before anything is parsed",
    On.TEXT: "Rules on texts: a paragraph or a whole document",
    On.DOCUMENT: "Rules on documents",
    On.REFERENCE: "Rules on image URLs, before anything is fetched",
    On.IMAGE: "Rules on images",
    On.PLACED: "Rules on placed documents",
}


def attributes(cls: type) -> dict[str, str]:
    """What the ``Attributes:`` sections of the docstrings of a class and its bases say of each
    field."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found |= _section(inspect.cleandoc(base.__doc__ or ""))
    return found


def _section(text: str) -> dict[str, str]:
    _, heading, after = text.partition("Attributes:\n")
    if not heading:
        return {}
    # A docstring that begins with the section is not indented below it.
    indent = len(after) - len(after.lstrip(" "))
    found: dict[str, str] = {}
    names: list[str] = []
    for line in after.splitlines():
        if line.strip() and line[:indent].strip():
            break
        if start := re.match(r"(\w+(?:, \w+)*): +(.*)", line[indent:]):
            names = start[1].split(", ")
            found |= dict.fromkeys(names, start[2])
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def all_keys() -> Iterator[tuple[str, Any, Any, str]]:
    """Every key of a config but those of rules: its path, type, default and meaning."""
    yield from _keys_of(Config, "")


def _keys_of(cls: Any, prefix: str) -> Iterator[tuple[str, Any, Any, str]]:
    about, hints = attributes(cls), typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        key, hint = prefix + field.name, hints[field.name]
        yield key, hint, _default(field), about.get(field.name, "")
        inner = [kind for kind in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(kind)]
        if inner and key not in RULES_IN:
            yield from _keys_of(inner[0], f"{key}.")


def _default(field: Any) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def markdown() -> str:
    """The whole reference as a Markdown page."""
    lines = [
        "# Keys of a weft config",
        "",
        "A config is YAML. `extends: NAME` takes another config or a preset as its base; mappings "
        "are merged, lists replaced. `--set KEY=VALUE` changes a key from the command line. What "
        "is not given has the default that stands here. This page is made by `weft config --docs`.",
        "",
    ]
    for key, hint, default, about in all_keys():
        if "." not in key:
            lines += [f"## {key}", "", _sentence(about), ""]
            if key in RULES_IN:
                lines += [_rules_note(key), ""]
            continue
        if key in RULES_IN:
            of, about = "list of rules", f"{about.rstrip('.')}. {_rules_note(key)}"
        else:
            of = f"{_type(hint)}{_told(default)}"
        lines.append(f"- `{key}` ({of}): {_sentence(about)}")
    return "\n".join([*_spaced(lines), *_rule_lines()]) + "\n"


def _spaced(lines: list[str]) -> Iterator[str]:
    """A blank line between the end of a list and the next heading."""
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("## ") and before:
            yield ""
        yield line


def _rule_lines() -> Iterator[str]:
    for on, title in ABOUT_RULES.items():
        places = [f"`{place}`" for place, kinds in RULES_IN.items() if on in kinds]
        yield from ("", f"## {title}", "", f"For {' and '.join(places)}.")
        for (kind, name), cls in sorted(load_all().items()):
            if kind != on:
                continue
            module = inspect.getdoc(inspect.getmodule(cls)) or ""
            about, _, source = module.partition("\nSource: ")
            yield from ("", f"### {name}", "", _flowed(about))
            scored = _flowed((inspect.getdoc(cls) or "").partition("Attributes:")[0])
            yield from ("", scored) if scored else ()
            meanings, hints = attributes(cls), typing.get_type_hints(cls)
            fields = dataclasses.fields(cls)  # type: ignore[arg-type]
            yield from ("",) if fields else ()
            for field in fields:
                told = f"- `{field.name}` ({_type(hints[field.name])}{_told(_default(field))})"
                meaning = meanings.get(field.name)
                yield f"{told}: {_sentence(meaning)}" if meaning else told
            yield from ("", f"Source: {_flowed(source)}")


def _rules_note(key: str) -> str:
    kinds = " or ".join(f"*{ABOUT_RULES[on]}*" for on in RULES_IN[key])
    return f"A list of rules, asked in order: see {kinds}."


def _type(hint: Any) -> str:
    """A type in words of YAML."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return " or ".join(_type(a) for a in arguments)
    if origin is typing.Literal:
        return " | ".join(map(str, arguments))
    if origin is tuple:
        items = arguments[:1] if arguments[1:] == (...,) else arguments
        return f"list of {' and '.join(dict.fromkeys(_type(item) for item in items))}"
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return " | ".join(hint)
    names = {int: "whole number", float: "number", bool: "true or false", str: "text",
             type(None): "null"}  # fmt: skip
    return names.get(hint, "section")


def _told(default: Any) -> str:
    if default is dataclasses.MISSING:
        return ", must be given"
    plain = resolved(default)
    if isinstance(plain, Mapping):
        return ""
    return f", default `{as_yaml(plain, flow=True)}`"


def as_yaml(data: Any, flow: bool = False) -> str:
    """Plain data as YAML; with `flow` on one line."""
    text = yaml.safe_dump(
        data, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=100_000
    )
    return text.removesuffix("\n").removesuffix("\n...") if flow else text


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:]


def _flowed(text: str) -> str:
    """The lines of each paragraph in one."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))
