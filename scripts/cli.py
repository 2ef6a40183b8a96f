"""The ``sqair`` command: ``sqair COMMAND ...`` runs the module of that name in this folder.

A command module defines ``Args``, a frozen dataclass with a docstring under each field, from which the flags
and their help are made, and ``main(args: Args) -> None``. It may define ``expand(words) -> words``, which
turns the words of the command line into others before they are parsed. Only the module that runs is imported.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import sys
from collections.abc import Sequence

import sqair
from sqair.errors import UserError
from sqair.scripts.help_text import about, legible, studies

COMMANDS = {
    "generate": "Make video of moving digits, with the truth about it.",
    "train": "Train a model, from scratch or from a checkpoint.",
    "track": "Follow the objects of a video.",
    "edit": "Correct who is who in tracks, by a list of edits.",
    "export": "Write tracks in the files of other tools.",
    "report": "Show on a page what a model finds in a video.",
    "imagine": "Show what a model takes for likely: clips from nothing, or futures.",
    "score": "Compare tracks with ground truth.",
    "evaluate": "Measure what a model knows: how likely clips are, what comes next, what its latents hold.",
    "demo": "All of it in a few minutes: generate, train, track, score, show.",
    "bench": "Measure what a training step and a tracked frame cost.",
    "experiments": "Repeat a study, such as: sqair experiments bars.",
}
EXPERIMENTS = (
    "ablation", "backgrounds", "bars", "benchmarks", "canary", "estimators", "faults", "footage", "gallery", "general",
    "gpu", "memory", "mutants", "pairs", "pets", "picture", "replay", "restarts", "shapes",
)  # fmt: skip
USAGE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


def main() -> int:
    """The console command. Returns the exit status."""
    words = sys.argv[1:]
    if not words:
        print(_help(), file=sys.stderr)
        return USAGE
    if words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] == "--version":
        print(f"sqair {sqair.__version__}")
        return 0
    if words[0] not in COMMANDS:
        near = difflib.get_close_matches(words[0], COMMANDS, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        print(f"error: unknown command {words[0]!r}{meant}: see sqair --help", file=sys.stderr)
        return USAGE
    if words[0] == "experiments":
        return _run_experiment(words[1:])
    return run(words[0], words[1:])


def _run_experiment(words: Sequence[str]) -> int:
    if words[:1] in (["-h"], ["--help"]):
        print(_page("experiments NAME", studies(EXPERIMENTS), "experiments bars --output runs/bars"))
        return 0
    if not words or words[0] not in EXPERIMENTS:
        print(f"error: name an experiment, one of {', '.join(EXPERIMENTS)}: sqair experiments NAME", file=sys.stderr)
        return USAGE
    return run(f"experiments.{words[0]}", words[1:])


def run(command: str, words: Sequence[str] | None = None) -> int:
    """Runs one command with ``words`` (by default those of the process) and returns the exit status.

    0; 2 for what the user got wrong, after a line that says it; 130 for Ctrl-C; 141 where nobody reads on.
    """
    import tyro

    words = sys.argv[1:] if words is None else words
    try:
        module = importlib.import_module(f"sqair.scripts.{command}")
        if hasattr(module, "expand"):
            words = module.expand(words)
        told = None
        if {"-h", "--help"} & set(words):
            legible(module.Args)
            told = about(module)
        prog = f"sqair {command.replace('.', ' ')}"
        module.main(tyro.cli(module.Args, prog=prog, description=told, args=words))
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _drop_output()
        print(f"error: {error.strerror}: {error.filename or 'the output of this command'}", file=sys.stderr)
        return USAGE
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not imported for its name
            raise
        fewer = "fewer clips at a time in --train.stages, or " if command == "train" else ""
        print(f"error: the memory of the GPU is full: {fewer}--device cpu", file=sys.stderr)
        return USAGE
    return 0


def _drop_output() -> None:
    """What is still to be printed goes nowhere, so that leaving Python does not fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {what}" for name, what in COMMANDS.items()]
    return _page("COMMAND", lines, "track --source clip.mp4 --output tracks --overlay")


def _page(which: str, lines: Sequence[str], example: str) -> str:
    """What there is to choose from, with an example of it."""
    see = f"sqair {which} --help lists its options."
    return "\n".join([f"usage: sqair {which} [OPTIONS]", "", *lines, "", "for example:", f"  sqair {example}", "", see])


if __name__ == "__main__":
    sys.exit(main())
