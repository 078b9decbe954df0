"""A checkpoint that is a folder: refused where it is incomplete or holds code, and known by a hash of its files."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from bench.errors import UserError, cut

#: The files that a model is built from: config, tokenizer and weights in safetensors, nothing that could hold code.
COUNTED = (".json", ".txt", ".model", ".safetensors", ".codes", ".bpe", ".vocab", ".tiktoken")
#: Weight files that can run code when loaded.
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def check_folder(folder: Path) -> None:
    """Refuse a local checkpoint that is incomplete, pickled, or brings its own code.

    Raises:
        UserError: naming what is missing or refused.
    """
    where = f"checkpoint folder '{folder}'"
    if broken := [path for path in sorted(folder.iterdir()) if path.suffix in COUNTED and not path.exists()]:
        target = cut(os.readlink(broken[0]))
        raise UserError(f"{where}: '{broken[0].name}' is a broken link to '{target}': fetch or copy it again")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf8"))
    except OSError as error:
        raise UserError(f"{where}: config.json cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{where}: config.json is not valid JSON ({error})") from error
    if not isinstance(config, dict):
        raise UserError(f"{where}: config.json holds no object")
    if config.get("auto_map"):  # names Python files of the checkpoint that the library would import
        raise UserError(f"{where}: config.json asks for code of its own, which is never run")
    if not isinstance(config.get("model_type"), str):
        raise UserError(f"{where}: config.json names no model_type, expected a family of the library such as 'bert'")
    if (folder / "adapter_config.json").exists():
        raise UserError(f"{where} holds an adapter (adapter_config.json): merge it into the weights")
    if not list(folder.glob("*.safetensors")):
        pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        found = f"found '{pickled[0]}', a pickle, which is never loaded" if pickled else "found no weights"
        raise UserError(f"{where}: expected model.safetensors, {found}")


def folder_hash(folder: Path) -> str:
    """A sha256 over the names and bytes of a checkpoint's JSON, text, tokenizer and safetensors files."""
    digest = hashlib.sha256()
    # Only what a model is built from: a README or a cache file beside it must not make every cell a new one.
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in COUNTED:
            with path.open("rb") as file:
                digest.update(path.name.encode("utf8") + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def read_object(file: Path) -> dict:
    """The object in a JSON file of a checkpoint's folder; empty where there is none."""
    try:
        value = json.loads(file.read_text(encoding="utf8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
