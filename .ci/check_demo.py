"""Checks what ``sqair demo`` left: python .ci/check_demo.py FOLDER."""

from __future__ import annotations

import json
import sys
from pathlib import Path

LEAST_MOTA = 0.95
"""A little below what the demo reaches, since its figures differ from one kind of processor to another."""


def main(folder: Path) -> None:
    for name in ("report.html", "scores.json"):
        if not (folder / name).is_file():
            sys.exit(f"the demo did not get as far as {folder / name}")
    scores = json.loads((folder / "scores.json").read_text())
    model, floor = scores["model"]["mota"], scores["floor"]["mota"]
    print(f"MOTA of the model {model:.3f}, of connected components {floor:.3f}")
    if model < max(LEAST_MOTA, floor):
        sys.exit(f"the demo's model is worse than it should be: its MOTA is below {LEAST_MOTA}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
