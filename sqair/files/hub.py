"""Weights on the Hugging Face hub: ``org/name``, a repository with the files of a weights folder.

They are kept in the hub's own cache, from which they load again without a network. The package ``huggingface_hub`` is
optional and imported where it is needed: ``pip install "sqair[hub]"``.
"""

from __future__ import annotations

import re
from pathlib import Path

from sqair.errors import UserError

NEEDED = ("config.json", "model.safetensors")
CARD = "README.md"
_FILES = [*NEEDED, CARD]
"""All that is fetched: data, of which nothing is executed."""
_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(@\S+)?")


def is_repository(name: str | Path) -> bool:
    """Whether ``name`` can only be a repository's, ``org/name`` or ``org/name@revision``: here there is no ``org``."""
    return _NAME.fullmatch(str(name)) is not None and not Path(Path(name).parts[0]).exists()


def fetched(name: str | Path) -> Path:
    """The folder of a repository's files in the cache, fetched if need be; a revision is a branch, a tag or a commit.

    Raises:
        UserError: ``huggingface_hub`` is not installed, there is no such repository or revision, it is gated, it can
            be had neither from the network nor from the cache, or it does not hold weights.
    """
    try:
        folder = _snapshot(name)
    except ImportError as error:
        raise UserError(
            f'no such weights folder: {name}; to fetch it from the Hugging Face hub: pip install "sqair[hub]"'
        ) from error
    except Exception as error:  # its own, those of whichever HTTP client it has, and OSError
        raise UserError(f"no such weights folder: {name}; {_reason(str(name), error)}") from error
    for file in NEEDED:
        if not (folder / file).exists():
            raise UserError(f"{name} on the Hugging Face hub holds no {file}: it is no weights folder of sqair")
    return folder


def cached(name: str | Path) -> Path | None:
    """The folder of a repository's files, if the cache has it; nothing is fetched."""
    try:
        return _snapshot(name, local_files_only=True)
    except Exception:  # whatever is wrong, ``fetched`` says it
        return None


def _snapshot(name: str | Path, *, local_files_only: bool = False) -> Path:
    from huggingface_hub import snapshot_download

    repository, _, revision = str(name).partition("@")
    return Path(
        snapshot_download(
            repository, revision=revision or None, allow_patterns=_FILES, local_files_only=local_files_only
        )
    )


def _reason(name: str, error: Exception) -> str:
    """Why a repository cannot be had, and what helps."""
    from huggingface_hub import constants, errors

    repository, _, revision = name.partition("@")
    login = "log in (hf auth login) or set HF_TOKEN"
    if isinstance(error, errors.GatedRepoError):
        return f"on the Hugging Face hub it is gated: ask for access at {constants.ENDPOINT}/{repository}, then {login}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"nor is there a repository {repository} at {constants.ENDPOINT}, unless it is private: then {login}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the repository {repository} at {constants.ENDPOINT} has no revision {revision or 'main'}"
    if isinstance(error, errors.LocalEntryNotFoundError):
        if constants.HF_HUB_OFFLINE:
            why = "HF_HUB_OFFLINE is set: unset it to fetch it"
        else:
            why = f"{constants.ENDPOINT} cannot be reached: is there a network?"
        return f"{constants.HF_HUB_CACHE} does not have it, and {why}"
    if isinstance(error, errors.HFValidationError):
        return "nor can a repository on the Hugging Face hub be called so"
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    return f"it could not be fetched from {constants.ENDPOINT}: {said}"
