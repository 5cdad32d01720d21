"""Who made a bundle: an optional Ed25519 signature (RFC 8032) over the bytes of its manifest.

The manifest's seal finds damage. Forgery is found only by comparing the signer's key with a public
key that came another way than the bundle.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_fgir._errors import InputError, MissingExtraError
from edge_fgir._files import regular, to_json
from edge_fgir._refusal import validated

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SCHEMA = "edge-fgir/signature/1"

_PRIVATE = "an Ed25519 private key in a PEM file, without a passphrase"
_MAKE_PRIVATE = "make one with: openssl genpkey -algorithm ed25519 -out key.pem"
_PUBLIC = "an Ed25519 public key in a PEM file"
_MAKE_PUBLIC = "make it with: openssl pkey -in key.pem -pubout -out pub.pem"
_UNTRUSTED = "do not use the bundle; get it again from whom you trust"


class Signature(BaseModel):
    """``signature.json``: beside the manifest, the one file that it does not list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Annotated[Literal["edge-fgir/signature/1"], Field(alias="schema")] = (
        "edge-fgir/signature/1"
    )
    algorithm: Literal["ed25519"] = "ed25519"
    public_key: Annotated[
        str, Field(pattern=r"^[0-9a-f]{64}$", description="the signer's, raw bytes in hex")
    ]
    signature: Annotated[
        str, Field(pattern=r"^[0-9a-f]{128}$", description="over manifest.json's bytes, in hex")
    ]

    def dump(self) -> str:
        """Return the canonical text of ``signature.json``."""
        return to_json(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def parse(cls, text: bytes, source: str) -> Signature:
        """Read ``signature.json``.

        Raises:
            InputError: It is not valid, is of another schema, or its text is not canonical.
        """
        found = validated(cls, text, source, f"schema {SCHEMA}", _UNTRUSTED)
        if found.dump().encode() != text:
            raise InputError(
                f"{source} was changed after signing", "the text edge-fgir wrote", _UNTRUSTED
            )
        return found

    @property
    def signer(self) -> str:
        """The signer's key, short enough to read aloud."""
        return shortened(self.public_key)

    def check(self, manifest: bytes, source: str) -> None:
        """Compare with the manifest's bytes.

        Raises:
            InputError: ``public_key`` did not sign them; cryptography is not installed.
        """
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError as error:
            raise _missing("checking signatures") from error
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
            key.verify(bytes.fromhex(self.signature), manifest)
        except (InvalidSignature, ValueError) as error:
            raise InputError(
                f"{source} does not fit manifest.json: one of them was changed",
                f"the manifest that key {self.signer} signed",
                _UNTRUSTED,
            ) from error


class SigningKey:
    """An Ed25519 private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def read(cls, path: Path | str) -> SigningKey:
        """Read a PEM file, as ``openssl genpkey -algorithm ed25519`` writes it.

        Raises:
            InputError: It is missing, is no such key or has a passphrase; cryptography is not
                installed.
        """
        try:
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
        except ImportError as error:
            raise _missing("signing") from error
        try:
            key = load_pem_private_key(_pem(path, _PRIVATE, _MAKE_PRIVATE), password=None)
        except TypeError as error:
            raise InputError(f"{path} has a passphrase", _PRIVATE, _MAKE_PRIVATE) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InputError(f"{path} holds no private key", _PRIVATE, _MAKE_PRIVATE) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise InputError(f"{path} is a key of another kind", _PRIVATE, _MAKE_PRIVATE)
        return cls(key)

    def sign(self, manifest: bytes) -> Signature:
        """Sign the bytes of a ``manifest.json``."""
        return Signature(
            public_key=self._key.public_key().public_bytes_raw().hex(),
            signature=self._key.sign(manifest).hex(),
        )


def read_public_key(path: Path | str) -> str:
    """Return the raw bytes, in hex, of a PEM file with an Ed25519 public key.

    Raises:
        InputError: It is missing or is no such key; cryptography is not installed.
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise _missing("checking signatures") from error
    try:
        key = load_pem_public_key(_pem(path, _PUBLIC, _MAKE_PUBLIC))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path} holds no public key", _PUBLIC, _MAKE_PUBLIC) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path} is a key of another kind", _PUBLIC, _MAKE_PUBLIC)
    return key.public_bytes_raw().hex()


def shortened(key: str) -> str:
    """Return the beginning of a key, for messages; nothing is decided by it."""
    return key[:16]


def _pem(path: Path | str, expected: str, remedy: str) -> bytes:
    try:
        return regular(Path(path), expected, remedy).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", expected, remedy) from error


def _missing(purpose: str) -> MissingExtraError:
    return MissingExtraError("cryptography", "sign", purpose)
