"""Keys from PEM files, as openssl writes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_fgir._errors import InputError
from edge_fgir._files import regular
from edge_fgir.runtime.manifest import MODEL_SIGNATURE, SIGNATURE
from edge_fgir.runtime.signing.signature import missing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

CURVES = ("secp256r1", "secp384r1", "secp521r1")
"""P-256, P-384 and P-521: those of OpenSSF Model Signing."""

_PRIVATE = "an Ed25519 or elliptic curve private key in a PEM file, without a passphrase"
_MAKE_PRIVATE = "make one with: openssl genpkey -algorithm ed25519 -out key.pem"
_PUBLIC = "an Ed25519 or elliptic curve public key in a PEM file"
_MAKE_PUBLIC = "make it with: openssl pkey -in key.pem -pubout -out pub.pem"


@dataclass(frozen=True)
class PublicKey:
    """A public key that signatures are compared with.

    Attributes:
        file: The signature of a bundle that such a key checks.
        fingerprint: Hex: the raw bytes of an Ed25519 key, the SHA-256 of another's PEM text.
        curve: The elliptic curve key; None: an Ed25519 key.
    """

    file: str
    fingerprint: str
    curve: EllipticCurvePublicKey | None = None


def read_private_key(path: Path | str) -> tuple[Any, PublicKey]:
    """Read a PEM file with a private key, and return it with its public one.

    Raises:
        InputError: It is missing, is no such key or has a passphrase; cryptography is not
            installed.
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise missing("signing") from error
    try:
        key = load_pem_private_key(_pem(path, _PRIVATE, _MAKE_PRIVATE), password=None)
    except TypeError as error:
        raise InputError(f"{path} has a passphrase", _PRIVATE, _MAKE_PRIVATE) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path} holds no private key", _PRIVATE, _MAKE_PRIVATE) from error
    public = _public_key(key.public_key())
    if public is None:
        raise InputError(f"{path} is a key of another kind", _PRIVATE, _MAKE_PRIVATE)
    return key, public


def read_public_key(path: Path | str) -> PublicKey:
    """Read a PEM file with a public key.

    Raises:
        InputError: It is missing or is no such key; cryptography is not installed.
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise missing("checking signatures") from error
    try:
        key = load_pem_public_key(_pem(path, _PUBLIC, _MAKE_PUBLIC))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path} holds no public key", _PUBLIC, _MAKE_PUBLIC) from error
    found = _public_key(key)
    if found is None:
        raise InputError(f"{path} is a key of another kind", _PUBLIC, _MAKE_PUBLIC)
    return found


def _public_key(key: Any) -> PublicKey | None:
    """Return a key of cryptography as ours; None where it is of another kind."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if isinstance(key, Ed25519PublicKey):
        return PublicKey(SIGNATURE, key.public_bytes_raw().hex())
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in CURVES:
        text = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return PublicKey(MODEL_SIGNATURE, hashlib.sha256(text).hexdigest(), key)
    return None


def _pem(path: Path | str, expected: str, remedy: str) -> bytes:
    try:
        return regular(Path(path), expected, remedy).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", expected, remedy) from error
