"""Correct who is who in rows, by a list of edits.

    sqair edit tracks/clip.txt edits.yaml --output edited
    sqair export edited/clip.txt --source clip.mp4 --output edited --format csv --overwrite

where edits.yaml is such as

    - swap: [3, 5]      # from frame 120 on, 3 is 5 and 5 is 3
      from: 120
    - merge: [3, 7]     # 7 is 3 as well
    - split: 4          # from frame 200 on, 4 is somebody else
      from: 200
      as: 12            # by default the next id
    - delete: 6
      to: 30
    - rename: 8
      as: 20

Frames and ids count from 1. Edits are done one after another; the rows that were there stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sqair.words import count


@dataclass(frozen=True)
class Args:
    """Correct who is who in rows, by a list of edits: swap, merge, split, delete, rename. `sqair track --overlay`
    shows who has which id."""

    tracks: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TRACKS")]
    """MOTChallenge rows, as `sqair track` writes them."""
    edits: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="EDITS")]
    """A YAML list, such as `- swap: [3, 5]` and below it `  from: 120`: see docs/exports.md."""
    output: Path
    """Folder to write the edited rows to, under the same name; it must be empty or not exist, unless --overwrite is
    given."""
    overwrite: bool = False
    """Replace a file of the same name in the output folder, if it is not the one that is read."""


def main(args: Args) -> None:
    """Runs the command.

    Raises:
        UserError: a file cannot be read, an edit is none or cannot be done (the message begins ``FILE:LINE:``), or the
            output cannot be written.
    """
    from sqair.datasets.staging import claim, staged
    from sqair.exports.edits import edited, read_edits
    from sqair.files.mot_io import read_mot, write_mot

    reads = [args.tracks, args.edits]
    claim(args.output, [args.tracks.name], overwrite=args.overwrite, reads=reads)
    edits, before = read_edits(args.edits), read_mot(args.tracks)
    after = edited(before, edits)
    with staged(args.output, [args.tracks.name], overwrite=args.overwrite, reads=reads) as stage:
        write_mot(stage / args.tracks.name, after)
    print(f"{count(len(edits), 'edit')}: {args.output / args.tracks.name}")


if __name__ == "__main__":
    from sqair.scripts.cli import run

    raise SystemExit(run("edit"))
