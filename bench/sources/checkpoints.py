"""Find a pre-trained checkpoint by name, check it and identify it by a hash or commit, without loading it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from bench.errors import UserError, cut, one_line
from bench.sources import embedded

#: What of a hub repository is fetched: config, tokenizer and weights in safetensors, nothing that could hold code.
COUNTED = (".json", ".txt", ".model", ".safetensors", ".codes", ".bpe", ".vocab", ".tiktoken")
HUB_FILES = [f"*{suffix}" for suffix in COUNTED]
#: Families whose exits read the first token unless a suite says otherwise; the cells of suites older than the key
#: `pooling` are theirs, and a suite that spells out what they did has the same cells.
READ_FIRST = ("bert", "roberta", "distilbert", "albert", "electra")
#: Where a sentence model says how it is read, and what it calls that.
POOLING_FILE = "1_Pooling/config.json"
FLAGS = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
SAID = {"cls": "first", "cls_token": "first", "mean": "mean", "mean_tokens": "mean", "lasttoken": "last"}
FILL_CACHE = "--prepare on a machine with network fills the cache"
NAME_FOLDER = "name a folder with --backbones FAMILY=DIR (students: --students FAMILY=DIR)"
#: Weight files that can run code when loaded.
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


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
        path = Path(self.path) / POOLING_FILE if self.is_local else hub_pooling(self.path, self.fingerprint())
        if path is None or not path.is_file():
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
        try:
            config = json.loads((self.config_folder() / "config.json").read_text(encoding="utf8"))
        except (OSError, ValueError):
            return False  # refused when it is loaded
        return config.get("model_type") in READ_FIRST and not config.get("is_decoder")

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


def lost_segments(checkpoint: Checkpoint) -> bool:
    """Whether the library leaves segments out for a checkpoint that has them, so that they are mended on loading.

    Of a hub repository its config alone is there before it is downloaded; that says it for every ALBERT.
    """
    folder = checkpoint.config_folder()
    config, tokenizer = read_object(folder / "config.json"), {}
    if checkpoint.is_local:
        tokenizer = read_object(folder / "tokenizer_config.json")
    given = tokenizer.get("model_input_names")
    if config.get("model_type") not in ("bert", "albert", "electra") or config.get("type_vocab_size") in (0, 1):
        return False
    if isinstance(given, list):
        return "token_type_ids" not in given
    plain = tokenizer.get("tokenizer_class") in ("PreTrainedTokenizerFast", "TokenizersBackend")
    return plain or config["model_type"] == "albert"


def read_object(file: Path) -> dict:
    """The object in a JSON file; empty where there is none."""
    try:
        value = json.loads(file.read_text(encoding="utf8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def folder_hash(folder: Path) -> str:
    """A sha256 over the names and bytes of a checkpoint's JSON, text, tokenizer and safetensors files."""
    digest = hashlib.sha256()
    # Only what a model is built from: a README or a cache file beside it must not make every cell a new one.
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in COUNTED:
            with path.open("rb") as file:
                digest.update(path.name.encode("utf8") + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def hub_commit(repo: str, revision: str | None) -> str:
    """The commit that a revision of a hub repository means, from the hub or, without network, from its cache.

    Raises:
        UserError: neither knows it; the line says which flag takes a folder instead.
    """
    return revision if is_commit(revision) else hub_config(repo, revision).name


def is_cached(repo: str, commit: str | None) -> bool:
    """Whether the hub's cache has weights of a repository at a commit."""
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "model.safetensors.index.json")
    return any(isinstance(try_to_load_from_cache(repo, name, revision=commit), str) for name in names)


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a commit, which never changes, and not a branch or tag."""
    return re.fullmatch("[0-9a-f]{40}", revision or "") is not None


@cache
def hub_config(repo: str, revision: str | None) -> Path:
    """The folder in the hub's cache with the config.json of a repository, downloaded; its name is the commit.

    Asking by branch or tag makes the cache remember which commit that is, for when there is no network.

    Raises:
        UserError: the hub has no such thing, or is out of reach and its cache has not.
    """
    from huggingface_hub import HfApi, constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    failure = None
    try:
        # a run with pinned commits does not wait for a hub that it does not need
        cached = try_to_load_from_cache(repo, "config.json", revision=revision) if is_commit(revision) else None
        if isinstance(cached, str):
            return Path(cached).parent
        if not constants.HF_HUB_OFFLINE:
            HfApi().model_info(repo, revision=revision, timeout=20)  # one try: a download would try for minutes
            return Path(hf_hub_download(repo, "config.json", revision=revision)).parent
    except (RemoteEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise no_checkpoint(repo, revision, error) from None
    except Exception as error:  # the client's transport errors share no public base class
        failure = error
    try:
        return Path(hf_hub_download(repo, "config.json", revision=revision, local_files_only=True)).parent
    except Exception as error:  # not there, or no name that the hub could know
        raise no_checkpoint(repo, revision, failure or error) from None


@cache
def hub_pooling(repo: str, commit: str) -> Path | None:
    """Where the hub's cache has what a repository at a commit says about its pooling; None where it says nothing."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(repo, POOLING_FILE, revision=commit)
    if cached is None and not constants.HF_HUB_OFFLINE:
        try:
            cached = hf_hub_download(repo, POOLING_FILE, revision=commit)
        except Exception:  # no such file (which the cache notes), or out of reach: what is cached must do
            return None
    return Path(cached) if isinstance(cached, str) else None


@cache
def hub_folder(repo: str, commit: str) -> Path:
    """The folder in the hub's cache with the files of a repository at a commit, downloaded if need be.

    Raises:
        UserError: they cannot be had, or see `check_folder`.
    """
    from huggingface_hub import HfApi, snapshot_download

    try:
        folder = Path(snapshot_download(repo, revision=commit, allow_patterns=HUB_FILES, ignore_patterns="*/*"))
        has_weights = bool(list(folder.glob("*.safetensors")))
        # without network a part of the files passes for all of them
        published = has_weights or HfApi().list_repo_files(repo, revision=commit)
    except Exception as error:  # see `hub_config`
        raise no_checkpoint(repo, commit, error) from None
    if not has_weights:
        pickled = next((name for name in published if Path(name).suffix in PICKLES), "none")
        raise UserError(
            f"checkpoint '{repo}' has no weights in safetensors at {commit[:12]} (found: {pickled}): name a revision "
            f"that has, with --backbones FAMILY={repo}@REVISION (often refs/pr/1), or {NAME_FOLDER}"
        )
    check_folder(folder)
    return folder


def no_checkpoint(repo: str, revision: str | None, failure: Exception) -> UserError:
    """The error for a hub checkpoint that cannot be had: which one, why, and what the user can do."""
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(failure, LocalEntryNotFoundError):
        failure = failure.__cause__ or failure  # what the hub said, or why it said nothing
    if isinstance(failure, GatedRepoError):
        return UserError(f"checkpoint '{repo}' is gated: accept its terms on the hub and log in, or {NAME_FOLDER}")
    if isinstance(failure, RevisionNotFoundError):
        return UserError(f"checkpoint '{repo}' has no revision '{revision}' on the hub")
    if isinstance(failure, RemoteEntryNotFoundError):
        return UserError(f"checkpoint '{repo}' has no config.json on the hub: expected an encoder for `transformers`")
    reason = one_line(failure)[:44]  # the ways out, behind it, matter more
    if isinstance(failure, RepositoryNotFoundError):
        reason = "the hub knows no such repository, or it is private"
    return UserError(
        f"checkpoint '{repo}' is neither a local folder nor to be had from the hub or its cache ({reason}): "
        f"{FILL_CACHE}, or {NAME_FOLDER}"
    )
