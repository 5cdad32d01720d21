"""Key pairs for tests, as openssl would make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_fgir.runtime.signing import SigningKey


class Keys:
    """A private key and its public one, as ``openssl genpkey`` and ``openssl pkey`` write them."""

    def __init__(self, folder: Path, kind: str = "ed25519", passphrase: bytes | None = None):
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519

        folder.mkdir()
        self.private, self.public = folder / "key.pem", folder / "pub.pem"
        key: Any = {
            "ed25519": ed25519.Ed25519PrivateKey.generate,
            "ed448": ed448.Ed448PrivateKey.generate,
            "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
            "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
            "k256": lambda: ec.generate_private_key(ec.SECP256K1()),
        }[kind]()
        lock = form.BestAvailableEncryption(passphrase) if passphrase else form.NoEncryption()
        self.private.write_bytes(
            key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, lock)
        )
        self.public.write_bytes(
            key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        )

    def sign(self, bundle: Path) -> Path:
        """Sign a bundle folder, whatever is in its manifest."""
        signature = SigningKey.read(self.private).sign((bundle / "manifest.json").read_bytes())
        (bundle / signature.file).write_text(signature.dump())
        return bundle
