"""Pushing a bundle with its card to a repository, and pulling one that is checked first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge_fgir._addresses import without_secrets
from edge_fgir._errors import InputError, MissingExtraError
from edge_fgir._files import scratch, to_json, write_atomic
from edge_fgir._zip import zipped
from edge_fgir.describing import BILL, card_of, read_bill
from edge_fgir.runtime import Bundle

if TYPE_CHECKING:
    from huggingface_hub import HfApi

FILE = "bundle.fgir"
"""The bundle in a repository, as one zip; its card and its bill of materials lie beside it."""

_ENDPOINT = "HF_ENDPOINT"
_PATIENCE_S = 20.0


class Pushed(NamedTuple):
    """What was written to a repository."""

    url: str
    files: tuple[str, ...]


def push(
    bundle: Path | str, repository: str, *, public: bool = False, trust: Path | str | None = None
) -> Pushed:
    """Write a bundle, its card and its bill of materials to a repository, which is made if needed.

    Every file of the bundle is compared with its hash first. The token is that of
    ``hf auth login`` or of the variable ``HF_TOKEN``; ``HF_ENDPOINT`` names another hub.

    Args:
        bundle: Its folder or zip.
        repository: ``user/name``.
        public: Let anyone read a repository that is new; one that exists stays as it is.
        trust: PEM file with the public key that must have signed the bundle.

    Raises:
        InputError: The bundle was changed, or the hub does not take it.
        MissingExtraError: huggingface_hub is not installed.
    """
    opened = Bundle(bundle, trust)
    list(opened.check_files())
    contents = {
        FILE: zipped(opened.contents()),
        "README.md": card_of(opened, FILE, repository).encode(),
        BILL: to_json(read_bill(opened)).encode(),
    }
    with _said(f"pushing to {repository}") as api:
        from huggingface_hub import CommitOperationAdd

        api.create_repo(repository, private=not public, exist_ok=True)
        commit = api.create_commit(
            repository,
            [CommitOperationAdd(name, data) for name, data in contents.items()],
            commit_message=f"{opened.manifest.name}, {opened.manifest.precision}",
        )
        return Pushed(str(commit.commit_url), tuple(contents))


def pull(
    repository: str,
    out: Path | str,
    *,
    revision: str | None = None,
    trust: Path | str | None = None,
) -> Bundle:
    """Fetch a bundle from a repository; it is kept only if every file is as sealed.

    Nothing of the repository is run, and nothing but the bundle is read.

    Args:
        repository: ``user/name``.
        out: The zip to write, where nothing lies yet.
        revision: Branch, tag or commit; None: the newest.
        trust: PEM file with the public key that must have signed it.

    Raises:
        InputError: The hub does not have it, or what it has is no whole bundle, or none that is
            trusted.
        MissingExtraError: huggingface_hub is not installed.
    """
    out = Path(out)
    if out.exists():
        raise InputError(f"--out {out} exists", "a new path", "choose another --out")
    with scratch() as folder:
        with _said(f"pulling from {repository}") as api:
            # A hub that does not answer is known at once: the download would try for long.
            commit = api.model_info(repository, revision=revision, timeout=_PATIENCE_S).sha
            found = api.hf_hub_download(repository, FILE, revision=commit, local_dir=folder)
        list(Bundle(found, trust).check_files())
        write_atomic(out, Path(found).read_bytes())
    return Bundle(out, trust)


@contextmanager
def _said(what: str) -> Iterator[HfApi]:
    """Yield the hub; what goes wrong there is one line for the user."""
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub", "pushing and pulling") from error
    disable_progress_bars()
    try:
        yield HfApi(endpoint=os.environ.get(_ENDPOINT) or None, library_name="edge-fgir")
    except Exception as error:  # its HTTP library's, too, which is another one in each version
        reason = next((line for line in f"{error}".splitlines() if line.strip()), repr(error))
        raise InputError(
            f"{what}: {without_secrets(reason)}",
            "a hub that answers, and leave to write or read there",
            "log in with: hf auth login",
        ) from error
