"""Every kind of signature, and the key that makes the one that goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_fgir.runtime.signing.ed25519 import Ed25519Signature
from edge_fgir.runtime.signing.keys import PublicKey, read_private_key
from edge_fgir.runtime.signing.openssf import ModelSignature
from edge_fgir.runtime.signing.signature import Signature

KINDS: Mapping[str, type[Ed25519Signature | ModelSignature]] = {
    kind.file: kind for kind in (Ed25519Signature, ModelSignature)
}
"""By the file of a bundle."""


class SigningKey:
    """A private key."""

    def __init__(self, key: Any, public: PublicKey) -> None:
        self._key, self._public = key, public

    @classmethod
    def read(cls, path: Path | str) -> SigningKey:
        """Read a PEM file: Ed25519, or a key on the curve P-256, P-384 or P-521.

        Raises:
            InputError: It is missing, is no such key or has a passphrase; cryptography is not
                installed.
        """
        return cls(*read_private_key(path))

    def sign(self, manifest: bytes) -> Signature:
        """Sign a ``manifest.json``, and with it every file that it lists."""
        return KINDS[self._public.file].of(manifest, self._key, self._public)
