"""Find a pre-trained checkpoint by name, check it and identify it by a hash or commit, without loading it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import UserError, cut, one_line
from bench.sources import embedded
from bench.sources.checkpoint_folder import check_folder, folder_hash, read_object
from bench.sources.hub_checkpoints import hub_commit, hub_config, hub_file, hub_folder, is_cached

#: Families whose exits read the first token unless a suite says otherwise; the cells of suites older than the key
#: `pooling` are theirs, and a suite that spells out what they did has the same cells.
READ_FIRST = ("bert", "roberta", "distilbert", "albert", "electra")
#: Where a sentence model says how it is read, and what it calls that.
POOLING_FILE = "1_Pooling/config.json"
FLAGS = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
SAID = {"cls": "first", "cls_token": "first", "mean": "mean", "mean_tokens": "mean", "lasttoken": "last"}


@dataclass(frozen=True)
class Checkpoint:
    """A pre-trained encoder: a local folder, or a hub repository at a revision (None: its default branch)."""

    path: str
    revision: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return Path(self.path).is_dir()

    def fingerprint(self) -> str:
        """The identity of weights, config and tokenizer: a hash of a folder's files, or the hub's commit.

        Raises:
            UserError: see `check_folder`; or neither a folder nor known to the hub or its cache.
        """
        if self.is_local:
            check_folder(Path(self.path))
            return folder_hash(Path(self.path))
        return hub_commit(self.path, self.revision)

    def pinned(self) -> Checkpoint:
        """The checkpoint at the commit that its revision names now, so that it stays the same; a folder as it is."""
        return self if self.is_local else replace(self, revision=self.fingerprint())

    def folder(self) -> Path:
        """The folder with its files on this machine, downloaded if need be.

        Raises:
            UserError: they cannot be had, or see `check_folder`.
        """
        return Path(self.path) if self.is_local else hub_folder(self.path, self.fingerprint())

    def is_at_hand(self) -> bool:
        """Whether its weights are on this machine, so that looking at them downloads nothing."""
        return self.is_local or is_cached(self.path, self.revision)

    def said_pooling(self) -> str | None:
        """How a sentence model says that it is read: "first", "mean", "last", or its own word for another way.

        None where it says nothing.

        Raises:
            UserError: what it says cannot be read.
        """
        path = self.file(POOLING_FILE)
        if path is None:
            return None
        try:
            said = dict(json.loads(path.read_text(encoding="utf8")))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"checkpoint '{self.path}': {POOLING_FILE} cannot be read ({one_line(error)})") from error
        flags = [key.removeprefix("pooling_mode_") for key, value in said.items() if value is True]
        words = [said["pooling_mode"]] if "pooling_mode" in said else [flag for flag in flags if flag in FLAGS]
        return "+".join(SAID.get(str(word), str(word)) for word in words) or None

    def reads_first(self) -> bool:
        """Whether it is of a family that is read by its first token unless something says otherwise."""
        config = self.config()
        return config.get("model_type") in READ_FIRST and not config.get("is_decoder")

    def config(self) -> dict:
        """Its config.json, without downloading the weights; empty where that is broken: it is refused when loaded.

        Raises:
            UserError: it cannot be had.
        """
        return read_object(self.config_folder() / "config.json")

    def file(self, name: str) -> Path | None:
        """One of its small files on this machine, without downloading the weights; None where it has none such.

        Raises:
            UserError: neither a folder nor known to the hub or its cache.
        """
        path = Path(self.path) / name if self.is_local else hub_file(self.path, self.fingerprint(), name)
        return path if path is not None and path.is_file() else None

    def config_folder(self) -> Path:
        """A folder with its config.json on this machine, without downloading the weights.

        Raises:
            UserError: it cannot be had.
        """
        return Path(self.path) if self.is_local else hub_config(self.path, self.revision)


def find_checkpoint(name: str, pins: dict[str, str] | None = None) -> Checkpoint:
    """The checkpoint that a suite or the command line names: embedded, a folder, or a hub repository.

    Args:
        name: a name of the embedded suite, a folder, REPOSITORY or REPOSITORY@REVISION.
        pins: name -> commit that a results folder keeps to.

    Raises:
        UserError: the name is that of a folder, and there is none.
    """
    if name in embedded.CHECKPOINTS:
        return Checkpoint(str(embedded.checkpoint(name)))
    folder = Path(os.path.expanduser(name))
    if folder.is_dir():
        return Checkpoint(str(folder))
    if name.startswith((".", "/", "~")):
        raise UserError(f"checkpoint folder '{cut(name)}' does not exist")
    repo, _, revision = name.partition("@")
    return Checkpoint(repo, (pins or {}).get(name) or revision or None)


def lost_segments(checkpoint: Checkpoint) -> bool:
    """Whether the library leaves out segments that a checkpoint has, read off its files; loading mends them.

    Its config and its tokenizer's say so, without the weights.
    """
    config = checkpoint.config()
    if config.get("model_type") not in ("bert", "albert", "electra") or config.get("type_vocab_size") in (0, 1):
        return False
    about = checkpoint.file("tokenizer_config.json")
    tokenizer = read_object(about) if about else {}
    given = tokenizer.get("model_input_names")
    if isinstance(given, list):
        return "token_type_ids" not in given
    plain = tokenizer.get("tokenizer_class") in ("PreTrainedTokenizerFast", "TokenizersBackend")
    return plain or config["model_type"] == "albert"
