"""Configurations from plain values, as JSON and checkpoints hold them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import reprlib
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sqair.errors import UserError

Config = TypeVar("Config")


def config_from_dict(cls: type[Config], mapping: Any, where: str = "configuration") -> Config:
    """The inverse of ``dataclasses.asdict``: every field is given, nothing else is, and types are right.

    A field whose metadata say ``later`` may be missing: what was written before there was one has its default.

    Fields may be bool, int, float (an int will do), str, dict, Literal, dataclasses, tuples of these (a list
    will do), and any of these or None.

    Raises:
        UserError: a key is unknown, missing, or its value has a wrong type; names the key, after ``where``.
    """
    return _convert(cls, mapping, where, "")


def _convert(hint: Any, value: Any, where: str, key: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return _convert_fields(hint, value, where, f"{key}." if key else "")
    if origin is Literal and any(type(value) is type(choice) and value == choice for choice in args):
        return value
    if origin is tuple and isinstance(value, (list, tuple)):
        hints = (args[0],) * len(value) if args[-1] is Ellipsis else args
        if len(hints) == len(value):
            pairs = enumerate(zip(hints, value, strict=True))
            return tuple(_convert(h, v, where, f"{key}[{i}]") for i, (h, v) in pairs)
    if origin in (Union, types.UnionType):
        (other,) = (arg for arg in args if arg is not types.NoneType)
        return None if value is None else _convert(other, value, where, key)
    if hint is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is hint:
        return value
    expected = getattr(hint, "__name__", str(hint)) if origin is None else str(hint)
    raise UserError(f"{where}: {key or 'the whole'} is {reprlib.repr(value)} where {expected} is expected")


def _convert_fields(cls: Any, mapping: Mapping[str, Any], where: str, prefix: str) -> Any:
    names = [field.name for field in dataclasses.fields(cls)]
    later = {field.name for field in dataclasses.fields(cls) if field.metadata.get("later")}
    for key in mapping:
        if key not in names:
            raise UserError(f"{where}: unknown key {reprlib.repr(f'{prefix}{key}')}")
    for name in names:
        if name not in mapping and name not in later:
            raise UserError(f"{where}: the key {prefix + name!r} is missing")
    hints = get_type_hints(cls)
    given = (name for name in names if name in mapping)
    return cls(**{name: _convert(hints[name], mapping[name], where, f"{prefix}{name}") for name in given})


def checksum_of(entries: Any) -> str:
    """SHA-256 of plain values as JSON, however that is laid out."""
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
