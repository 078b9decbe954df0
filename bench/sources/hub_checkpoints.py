"""Checkpoints on the hub: which commit a name means, its config and small files, and all of it when it is loaded."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from bench.errors import UserError, one_line
from bench.sources.checkpoint_folder import COUNTED, PICKLES, check_folder

HUB_FILES = [f"*{suffix}" for suffix in COUNTED]
FILL_CACHE = "--prepare on a machine with network fills the cache"
NAME_FOLDER = "name a folder with --backbones FAMILY=DIR (students: --students FAMILY=DIR)"


def hub_commit(repo: str, revision: str | None) -> str:
    """The commit that a revision of a hub repository means, from the hub or, without network, from its cache.

    Raises:
        UserError: neither knows it; the line says which flag takes a folder instead.
    """
    return revision if is_commit(revision) else hub_config(repo, revision).name


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
def hub_file(repo: str, commit: str, name: str) -> Path | None:
    """Where the hub's cache has a small file of a repository at a commit, downloaded if need be; None without one."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(repo, name, revision=commit)
    if cached is None and not constants.HF_HUB_OFFLINE:
        try:
            cached = hf_hub_download(repo, name, revision=commit)
        except Exception:  # no such file (which the cache notes), or out of reach: what is cached must do
            return None
    return Path(cached) if isinstance(cached, str) else None


def has_config(repo: str, revision: str | None) -> bool:
    """Whether the hub's cache has the config.json of a repository, so that asking for it needs no network."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repo, "config.json", revision=revision), str)


def is_cached(repo: str, commit: str | None) -> bool:
    """Whether the hub's cache has weights of a repository at a commit."""
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "model.safetensors.index.json")
    return any(isinstance(try_to_load_from_cache(repo, name, revision=commit), str) for name in names)


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
