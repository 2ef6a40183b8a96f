"""What is checked before ``sqair track`` writes to its output folder, and what is said of what it found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqair.datasets.staging import claim, source_files
from sqair.errors import UserError
from sqair.files.pretrained import weights_files
from sqair.scripts.track import Args
from sqair.words import count


def claim_output(args: Args, entries: Sequence[str]) -> None:
    """Raises UserError, before any work, if the files may not be written: see ``sqair.datasets.staging.claim``."""
    kinds = {"overlay": args.overlay, "gif": args.gif, "masks": args.masks, "mask-images": args.mask_images}
    read_later = [f"--{kind}" for kind, on in kinds.items() if on]
    folders = [source for source in map(Path, args.sources) if source.is_dir()]
    among = [source for source in folders if args.output.exists() and args.output.samefile(source)]
    if read_later and among:
        what = read_later[0]
        raise UserError(f"{what}: it would lie among what is read from {among[0]}: choose another --output")
    reads = (*source_files(args.sources), *weights_files(args.model))
    claim(args.output, entries, overwrite=args.overwrite, reads=reads)


def found_in(objects: int, frames: int, clips: int, rate: float) -> str:
    """What was found in how many clips, and how fast."""
    found = f"{count(objects, 'object')} in" if objects else "nothing in"
    of = f" of {count(clips, 'clip')}" if clips > 1 else ""
    speed = f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
    return f"found {found} {count(frames, 'frame')}{of}, {speed} frames a second"
