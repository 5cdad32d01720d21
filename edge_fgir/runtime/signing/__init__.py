"""Who made a bundle: signatures that stand beside its manifest, in the forms of two kinds of keys.

An Ed25519 key signs the bytes of the manifest (``signature.json``), an elliptic curve key the
hashes of all files in the form of OpenSSF Model Signing (``model.sig``), which programs of others
check as well. The manifest's seal finds damage. Forgery is found only by comparing the signer's key
with a public key that came another way than the bundle.
"""

from __future__ import annotations

from edge_fgir.runtime.signing.ed25519 import Ed25519Signature
from edge_fgir.runtime.signing.keys import PublicKey, read_public_key
from edge_fgir.runtime.signing.kinds import KINDS, SigningKey
from edge_fgir.runtime.signing.openssf import ModelSignature
from edge_fgir.runtime.signing.signature import Signature

__all__ = [
    "KINDS",
    "Ed25519Signature",
    "ModelSignature",
    "PublicKey",
    "Signature",
    "SigningKey",
    "read_public_key",
]
