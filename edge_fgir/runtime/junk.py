"""What systems and storage boxes leave in people's folders, which nobody meant to be there."""

from __future__ import annotations

_FOLDERS = frozenset(
    {
        "@eadir",
        "@__thumb",
        "__macosx",
        "#recycle",
        "@recycle",
        "@recently-snapshot",
        "$recycle.bin",
        "system volume information",
        "lost+found",
    }
)
_FILES = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini"})
_PREFIXES = ("._", ".nfs")
"""Of macOS's second half of a file, and of a file that was deleted while it was open over NFS."""


def is_junk_folder(name: str) -> bool:
    """Say whether a folder of this name holds thumbnails, deleted files and the like."""
    return name.lower() in _FOLDERS


def is_junk(name: str) -> bool:
    """Say whether a file or folder of this name was left there by a system."""
    name = name.lower()
    return name in _FILES or name in _FOLDERS or name.startswith(_PREFIXES)
