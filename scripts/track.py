"""Follow the objects of a video.

    sqair track --source clip.mp4 --output tracks --overlay
    sqair track --source clip.mp4 --output tracks --adapt 2 --processes 2  trains on both cores before it tracks
    sqair track --source clip.mp4 --output tracks --format csv cvat --fill 5 --scale 0.12 mm
    sqair track --source dishes.mp4 --output tracks --region 0,0,300,300 310,0,300,300 --count 5
    sqair track --source clip.mp4 --output tracks --memory 50 --min-life 12  2 and half a second of 25 fps
    sqair track --source clips --output tracks --processes 4  a folder of videos, four at a time
    sqair track --source clips --output tracks --processes 4 --resume  what is left of that, after it was stopped
    sqair track --source clips --output tracks --shard 3/16 --resume  the third of 16 jobs on a cluster
    sqair track --source clip.mp4 --output tracks --model org/name  weights from the Hugging Face hub
    sqair track --source clips.npz --model runs/mine --output tracks --box patch

writes ``NAME.txt``, MOTChallenge rows, for each clip, with ``--json`` also ``NAME.jsonl``, with ``--masks``
``NAME.masks.npz``, and with ``--overlay`` the video ``NAME.mp4``. Frames and ids count from 1 in all of them. Pixels do
so in ``NAME.txt`` alone, as MOTChallenge has it: a box in the top left corner begins at x = y = 1 there, and at 0 in
``NAME.jsonl``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sqair.errors import UserError
from sqair.scripts.export_flags import ExcludeFlag, LineFlag, RegionFlag, ScaleFlag, ZoneFlag
from sqair.scripts.stabilise import StabiliseFlag


@dataclass(frozen=True)
class Args:
    """Follow the objects of a video, or of many clips."""

    source: Annotated[str | tuple[str, ...], tyro.conf.arg(metavar="SOURCE ...")]
    """One or more. A source is a video, a folder of videos or of images, a stack (TIFF) or animation, a glob, an array
    (.npz, .npy, .h5, .zarr), the address of a stream (rtsp://..., http://...), or the number of a camera, such as 0:
    these two are tracked until they end, or Ctrl-C. Files are named by the clips; clips of one name by their folders
    too, as a-clip and b-clip."""
    output: Path
    """Folder to write NAME.txt to, and what else is asked for; it must be empty or not exist, unless --overwrite,
    --resume or --shard is given. NAME.txt holds MOTChallenge rows: frame, id, left, top, width, height, confidence, -1,
    -1, -1. Frames, ids and pixels count from 1: a box in the top left corner has left 1 and top 1."""
    model: str = "auto"
    """A run's folder, a folder of weights, the name of a model that ships with the package, or org/name (or
    org/name@revision) of the Hugging Face hub; the run may be stopped, or still training. auto: moving-mnist for clips
    of 50x50 pixels, and for others any-camera, which needs no training: a survey of the clips tells it what is behind
    things, how large they are and how many."""
    adapt: float = 0.0
    """Footage: first train on it, from the weights of any-camera, for about so many CPU-minutes, such as 2. The run is
    kept in OUTPUT/adapted, a --model for other clips of that camera. 0 trains nothing."""
    region: RegionFlag = ()
    exclude: ExcludeFlag = ()
    box: Literal["ink", "patch"] = "ink"
    """ink: boxes tight around what is seen of an object, before a still scene in the pixels of the frame itself, else
    as the model explains it. patch: those of its glimpse (z_where)."""
    overlay: bool = False
    """Also write videos with the tracks drawn over the frames."""
    gif: bool = False
    """Also write the first 100 frames of that as a small GIF."""
    csv: bool = False
    """The same as --format csv."""
    format: tuple[Literal["csv", "via", "coco", "cvat"], ...] = ()
    """Also write files for other tools. csv: NAME.csv, a tidy table for data frames, a row for each box, with the
    columns clip, frame, seconds, id, x, y, w, h, centre_x, centre_y, score and interpolated; frames and ids count from
    1, pixels from 0. via: NAME.via.csv, which movement and napari open. coco: NAME.coco.json. cvat: NAME.cvat.xml, of a
    task with the label `object`. `sqair export` makes them of rows that are there."""
    fill: int = 0
    """In the files of --format fill the gaps of an id that are of so many frames of the source or fewer, evenly; such
    rows are marked as interpolated. 5 are a fifth of a second of a film of 25 frames a second; 0 fills none."""
    scale: ScaleFlag = None
    zone: ZoneFlag = ()
    line: LineFlag = ()
    json: bool = False
    """Also write NAME.jsonl, a line for each frame: its objects with id, box (x, y, width, height), confidence and
    appearance (z_what). Frames and ids count from 1, pixels from 0: a box in the top left corner has x 0 and y 0."""
    masks: bool = False
    """Also write NAME.masks.npz: masks [T, H, W], the id of the object that shows in each pixel as in NAME.txt, 0 where
    there is none, and the numbers of their frames, from 1."""
    mask_images: bool = False
    """Also write the folder NAME.masks of label maps, PNG of 16 bits: 000001.png is of the frame 1."""
    stride: int = 1
    """Track one frame in so many, such as 2 for every other one; rows keep the numbers of the source's frames, --memory
    and --min-life count tracked ones."""
    fps: float | None = None
    """Frames per second of the source, whatever it says itself; the times in NAME.jsonl follow from it."""
    range: tuple[float, float] | None = None
    """Values of the source that are black and white, such as 0 4095. By default 8 bits are taken as they are, and for
    others a range is told from the clip, which is printed."""
    max_frames: int | None = None
    """Stop each clip after so many frames of the source: 250 are ten seconds of a film of 25 frames a second."""
    refine: bool = True
    """Explain the first frame in several ways and keep the best, and check presence against what each object
    explains; otherwise trust the first guess of the networks (the amortised posteriors), which is faster."""
    memory: int = 30
    """Tracked frames for which an object that is not seen keeps its id: 30 are a second of a film of 30 frames a
    second, 50 two seconds of one of 25. Needs --refine."""
    max_objects: int | None = None
    """Most objects that are there at a time in each region. By default it is told by a survey, or by the model; with
    --count there are no more than that."""
    min_life: int = 1
    """Leave out ids that were seen in fewer tracked frames than this: 15 are half a second of a film of 30 frames a
    second. While they are drawn as they come, as of cameras, overlays show them all the same."""
    count: int = 0
    """How many individuals there are, in each region, if you know it and each is there from beginning to end of every
    clip: nobody is born once all were found, nobody is forgotten, and ids are 1 to that number. Needs --refine. 0: it
    is not known."""
    reid: bool = True
    """When a clip of footage has been tracked, decide once more who is who, by how each looked while nobody touched it
    and by how it moved: ids become those of individuals. It takes some seconds, or half a minute for long or crowded
    clips; of cameras and streams ids stay as they were found."""
    live: bool = False
    """Track a file of footage as a camera would be: rows are final as each frame comes. That gives up what only the
    whole clip tells: the scene is that of the first 50 frames, so that who sits still there is not found before it
    moves, and leaves a ghost; and who is who is not decided once more."""
    passes: int = 2
    """How often to go through the clips of arrays (.npz, .npy): forth, and back with what is known then, so that later
    frames tell of earlier ones; 3 goes forth once more, 1 forth alone. Videos are gone through once, frame by frame,
    and so are arrays with --show, --json, --gif, --stride or --max-frames."""
    tries: int = 8
    """In how many ways to explain each of these clips, of which the best is kept: where things crowd, what is found
    depends on where one looks first. Needs --refine; each costs as much time as the first."""
    stabilise: StabiliseFlag = "auto"
    """Before a still scene, put every frame where the scene is: by default in clips of a camera that trembles; `on`, or
    nothing after it, wherever the scene has the detail to tell; `off` never. Boxes are in the frames as they are."""
    overwrite: bool = False
    """Replace files of the same names in the output folder; other files in it stay, and so does whatever is read."""
    resume: bool = False
    """Do what is left of a run of many files that was stopped, as it would have been done; all of it, if nothing was.
    What is done is known from OUTPUT/.tracked. A file, a setting or a model that has changed since is an error; with
    --overwrite as well, such clips are tracked again."""
    shard: str | None = None
    """Of many files track every n-th alone, from the i-th on, such as 3/16: 16 jobs of a batch system, from 1/16 to
    16/16, do all of them, into one output folder."""
    show: bool = False
    """Show the tracks in a window as they are made; Escape closes it."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to compute; a GPU pays with hundreds of clips at a time: see docs/performance.md."""
    processes: int = 1
    """Processes, such as one for each core: of many files so many are tracked at a time, with the same results; with
    --adapt they train together before."""
    threads: int = 1
    """Threads of one operation; with tensors as small as these more are not faster."""


    @property
    def sources(self) -> tuple[str, ...]:
        """All of the source."""
        return (self.source,) if isinstance(self.source, str) else self.source


def main(args: Args) -> None:
    """Tracks every clip of the source.

    Raises:
        UserError: the source, the model or the output folder is no good, or frames are not of the model's
            kind; nothing is written. If a video ends before the frames that it promised, the tracks up to
            there are written first. Of many files that is so of each by itself, and the others are tracked.
        SystemExit: SIGTERM (status 143) or Ctrl-C (130) ended the tracking; the tracks up to there were written, of
            many files those of clips that were done.
    """
    from sqair.scripts.tracking import check_fps, track

    if args.memory < 0:
        raise UserError(f"--memory is {args.memory}: it must be 0 or more")
    for name in ("threads", "processes", "stride", "passes", "tries", "max_frames", "max_objects", "min_life"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} is {value}: it must be at least 1")
    check_fps(args.fps)
    track(args)


if __name__ == "__main__":
    from sqair.scripts.cli import run

    raise SystemExit(run("track"))
