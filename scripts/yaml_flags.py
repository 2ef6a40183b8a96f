"""Settings from a YAML file, as words of the command line.

The words are put before those that the user typed: there is one parser, what is typed wins over the file, and
the file may hold whatever has a flag. Underscores or dashes, nested mappings or dotted keys: all the same.
"""

from __future__ import annotations

import contextlib
import difflib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import tyro
import yaml

from sqair.config import Stage
from sqair.errors import UserError


def read_flags(path: str | Path, args_type: type) -> list[str]:
    """The words of a YAML file of settings of ``args_type``, a dataclass whose fields may be dataclasses.

    Raises:
        UserError: the file is missing, is not a YAML mapping, or has a key or value that ``args_type`` lacks.
    """
    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"no such file: {path}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a YAML file: it is not text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from error
    if settings is None:
        return []
    if not isinstance(settings, Mapping):
        raise UserError(f"{path}: settings are lines of `name: value`")
    return flag_words(settings, args_type, str(path))


def flag_words(settings: Mapping[str, Any], args_type: type, source: str) -> list[str]:
    """The words for ``settings`` of ``args_type``; a UserError names ``source``, the key and the value."""
    leaves = dict(leaves_of(args_type))
    words = []
    for name, value in flatten(settings).items():
        key = name.replace("-", "_")
        if key not in leaves:
            near = difflib.get_close_matches(key, leaves, n=1) or [k for k in leaves if k.endswith(f".{key}")]
            raise UserError(f"{source}: unknown key {key!r}" + (f"; is {near[0]!r} meant?" if near else ""))
        words += _leaf_words(key, value, leaves[key], source)
    return words


def changed(config: Any) -> dict[str, Any]:
    """What is not the default in a dataclass of settings, by name, as in a YAML file; a ``name`` has no default."""
    told: dict[str, Any] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if field.name != "name" and value != default:
            told[field.name] = stage_words(value) if field.name == "stages" else value
    return told


def stage_words(stages: Iterable[Stage]) -> list[str]:
    """The stages of a curriculum as they are typed."""
    return [f"{stage.length}x{stage.steps}x{stage.clips}" for stage in stages]


def leaves_of(args_type: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and type of all that can be set of ``args_type``, a dataclass."""
    hints = get_type_hints(args_type, include_extras=True)
    for field in fields(args_type):
        hint, name = _bare(hints[field.name]), f"{prefix}{field.name}"
        if is_dataclass(hint):
            yield from leaves_of(hint, f"{name}.")
        else:
            yield name, hint


def _bare(hint: Any) -> Any:
    """A type without what says how its flag is called; how its words are read stays."""
    if get_origin(hint) is not Annotated:
        return hint
    kind, *extras = get_args(hint)
    readers = [extra for extra in extras if isinstance(extra, tyro.constructors.PrimitiveConstructorSpec)]
    return Annotated[kind, readers[0]] if readers else kind


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _leaf_words(key: str, value: Any, hint: Any, source: str) -> list[str]:
    kind = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
    wrong = UserError(f"{source}: {key}: {value!r} is not of type {kind}")
    if (value is None and type(None) not in get_args(hint)) or (hint is bool and not isinstance(value, bool)):
        raise wrong
    if hint is bool:
        group, dot, name = key.rpartition(".")
        return [f"--{key}" if value else f"--{group}{dot}no-{name}"]
    several = isinstance(value, (list, tuple))
    words = list(map(str, value if several else [value]))
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            tyro.cli(hint, args=["--", *words] if not several else words)
    except SystemExit as error:
        raise wrong from error
    return [f"--{key}", *words] if several else [f"--{key}={words[0]}"]
