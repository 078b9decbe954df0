"""Which pre-trained checkpoint is meant, checked and identified without loading it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench import embedded
from bench.errors import UserError, cut, one_line

#: Families of encoders that the layerwise view knows, as `model_type` of their config.
MODEL_TYPES = ("bert", "roberta", "distilbert")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class Checkpoint:
    """A pre-trained encoder: a local folder, or a hub repository at a revision (None: its default branch)."""

    path: str
    revision: str | None = None

    def fingerprint(self) -> str:
        """What identifies the weights, config and tokenizer: a hash of a folder's files, or the hub's commit.

        Raises:
            UserError: see `check_folder`; or neither a folder nor known to the hub or its cache.
        """
        folder = Path(self.path)
        if folder.is_dir():
            check_folder(folder)
            return folder_hash(folder)
        return hub_commit(self.path, self.revision)


def resolve(name: str) -> Checkpoint:
    """The checkpoint that a suite or the command line names: embedded, a folder, or a hub repository."""
    if name in embedded.CHECKPOINTS:
        return Checkpoint(str(embedded.checkpoint(name)))
    folder = Path(os.path.expanduser(name))
    if name.startswith((".", "/", "~")) and not folder.is_dir():
        raise UserError(f"checkpoint folder '{cut(name)}' does not exist")
    return Checkpoint(str(folder) if folder.is_dir() else name)


def check_folder(folder: Path) -> None:
    """Refuse a local checkpoint that is incomplete, pickled, no encoder, or brings its own code.

    Raises:
        UserError: naming what is missing or refused.
    """
    where = f"checkpoint folder '{folder}'"
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf8"))
    except OSError as error:
        raise UserError(f"{where}: config.json cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{where}: config.json is not valid JSON ({error})") from error
    if not isinstance(config, dict):
        raise UserError(f"{where}: config.json holds no object")
    if config.get("auto_map"):
        raise UserError(f"{where}: config.json asks for code of its own, which is never run")
    kind = config.get("model_type")
    if kind not in MODEL_TYPES or config.get("is_decoder"):
        raise UserError(f"{where} holds a '{kind}' model: expected an encoder of type {', '.join(MODEL_TYPES)}")
    if not list(folder.glob("*.safetensors")):
        pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        found = f"found '{pickled[0]}', a pickle, which is never loaded" if pickled else "found no weights"
        raise UserError(f"{where}: expected model.safetensors, {found}")


def folder_hash(folder: Path) -> str:
    """sha256 over the names and bytes of a folder's JSON, text and safetensors files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in (".json", ".txt", ".safetensors", ".model"):
            with path.open("rb") as file:
                digest.update(path.name.encode("utf8") + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


@cache
def hub_commit(repo: str, revision: str | None) -> str:
    """The commit of a hub repository, asked from the hub or, without network, from its cache.

    Raises:
        UserError: neither knows it; the line says which flag takes a folder instead.
    """
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    reason = "the hub is switched off"
    try:
        if not constants.HF_HUB_OFFLINE:
            return HfApi().model_info(repo, revision=revision, timeout=20).sha
    except Exception as error:  # the client's transport errors share no public base class
        reason = one_line(error)
    try:
        cached = try_to_load_from_cache(repo, "config.json", revision=revision)
    except HFValidationError:
        cached = None  # no name that the hub could know
    if isinstance(cached, str):
        return Path(cached).parent.name
    raise UserError(
        f"checkpoint '{repo}' is neither a local folder nor to be had from the hub or its cache ({reason}): "
        "name a folder with --backbones FAMILY=DIR (students: --students FAMILY=DIR)"
    )
