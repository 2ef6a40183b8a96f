"""Text files of others: whatever the encoding that their editor chose and marked."""

from __future__ import annotations

import codecs
from pathlib import Path

from sqair.errors import UserError

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")


def read_text(path: str | Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 if it begins with the byte order mark; the mark is left out.

    Raises:
        UserError: the file is missing, cannot be read, is compressed, or is not text.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"no such file: {path}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if data.startswith(_COMPRESSED):
        raise UserError(f"{path} is compressed: unpack it first")
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file") from error
    if "\0" in text:
        raise UserError(f"{path} is not a text file")
    return text
