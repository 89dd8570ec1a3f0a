"""Dataclasses as Arrow rows and back, so that what flows and what lies on disk cannot drift apart.

Fields may be str, int, float, bool, bytes, enums of str, other dataclasses, tuples of one type, any
of these or None, and a union of dataclasses, which becomes one struct with the fields of all and
a field ``type`` that says which.
"""

import dataclasses
import types
import typing
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

import pyarrow as pa

_SCALARS = {
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
}


class _Converter(NamedTuple):
    type: pa.DataType
    to_arrow: Callable[[Any], Any]
    from_arrow: Callable[[Any], Any]


def arrow_schema(cls: type) -> pa.Schema:
    """The Arrow schema of a dataclass.

    Raises:
      TypeError: a field has a type that no rule above covers.
    """
    return pa.schema(list(_converter(cls).type))


def to_row(element: Any) -> dict[str, Any]:
    """A dataclass instance as a row for `pyarrow.RecordBatch.from_pylist`."""
    cls: Any = type(element)
    row: dict[str, Any] = _converter(cls).to_arrow(element)
    return row


def from_row(cls: type, row: dict[str, Any]) -> Any:
    """The instance that `to_row` was given; columns that are no field are ignored."""
    return _converter(cls).from_arrow(row)


@cache
def _converter(hint: Any) -> _Converter:
    if hint is str:
        return _Converter(pa.string(), _encodable, _same)
    if hint in _SCALARS:
        return _Converter(_SCALARS[hint], _same, _same)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _Converter(pa.string(), str, hint)
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint)
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple and arguments[1:] == (...,):
        return _tuple(_converter(arguments[0]))
    if isinstance(hint, types.UnionType):
        if type(None) in arguments and len(arguments) == 2:
            return _optional(_converter(next(a for a in arguments if a is not type(None))))
        if all(dataclasses.is_dataclass(a) for a in arguments):
            return _union({a.__name__: a for a in arguments})
    raise TypeError(f"no Arrow type for {hint!r}")


def _same(value: Any) -> Any:
    return value


def _encodable(text: str) -> str:
    # Lone surrogates come in through headers and broken charsets; UTF-8 has no form for them.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _dataclass(cls: Any) -> _Converter:
    hints = typing.get_type_hints(cls)
    fields = [(f.name, _converter(hints[f.name])) for f in dataclasses.fields(cls)]

    def to_arrow(element: Any) -> dict[str, Any]:
        return {name: c.to_arrow(getattr(element, name)) for name, c in fields}

    def from_arrow(row: dict[str, Any]) -> Any:
        return cls(**{name: c.from_arrow(row[name]) for name, c in fields})

    return _Converter(pa.struct([(name, c.type) for name, c in fields]), to_arrow, from_arrow)


def _tuple(item: _Converter) -> _Converter:
    return _Converter(
        pa.list_(item.type),
        lambda values: [item.to_arrow(v) for v in values],
        lambda values: tuple(item.from_arrow(v) for v in values),
    )


def _optional(some: _Converter) -> _Converter:
    return _Converter(
        some.type,
        lambda value: None if value is None else some.to_arrow(value),
        lambda value: None if value is None else some.from_arrow(value),
    )


def _union(classes: dict[str, Any]) -> _Converter:
    members = {name: _converter(cls) for name, cls in classes.items()}
    fields: dict[str, pa.DataType] = {"type": pa.string()}
    for member in members.values():
        for field in member.type:
            if fields.setdefault(field.name, field.type) != field.type:
                raise TypeError(f"{' | '.join(classes)} differ in the type of {field.name!r}")

    def to_arrow(element: Any) -> dict[str, Any]:
        name = type(element).__name__
        return {"type": name, **members[name].to_arrow(element)}

    def from_arrow(row: dict[str, Any]) -> Any:
        return members[row["type"]].from_arrow(row)

    return _Converter(pa.struct(list(fields.items())), to_arrow, from_arrow)
