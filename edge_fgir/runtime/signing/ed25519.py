"""``signature.json``: an Ed25519 signature (RFC 8032) over the bytes of a bundle's manifest."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_fgir._errors import InputError
from edge_fgir._files import to_json
from edge_fgir._refusal import validated
from edge_fgir.runtime.manifest import SIGNATURE
from edge_fgir.runtime.signing.keys import PublicKey
from edge_fgir.runtime.signing.signature import UNTRUSTED, Signature, missing, shortened

SCHEMA = "edge-fgir/signature/1"


class Ed25519Signature(BaseModel, Signature):
    """``signature.json``: beside the manifest, which does not list it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: ClassVar[str] = SIGNATURE

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

    @classmethod
    def of(cls, manifest: bytes, key: Any, public: PublicKey) -> Ed25519Signature:
        """Sign a manifest's bytes with a private key of cryptography."""
        return cls(public_key=public.fingerprint, signature=key.sign(manifest).hex())

    def dump(self) -> str:
        """Return the canonical text of ``signature.json``."""
        return to_json(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def parse(cls, text: bytes, source: str) -> Ed25519Signature:
        """Read ``signature.json``.

        Raises:
            InputError: It is not valid, is of another schema, or its text is not canonical.
        """
        found = validated(cls, text, source, f"schema {SCHEMA}", UNTRUSTED)
        if found.dump().encode() != text:
            raise InputError(
                f"{source} was changed after signing", "the text edge-fgir wrote", UNTRUSTED
            )
        return found

    @property
    def signer(self) -> str:
        """The beginning of the signer's key."""
        return shortened(self.public_key)

    def is_by(self, key: PublicKey) -> bool:
        """Say whether it carries this key."""
        return self.public_key == key.fingerprint

    def check(self, manifest: bytes, source: str, key: PublicKey | None) -> str:
        """Compare with the manifest's bytes, by the key that it carries.

        Raises:
            InputError: That key did not sign them; cryptography is not installed.
        """
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError as error:
            raise missing("checking signatures") from error
        try:
            carried = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
            carried.verify(bytes.fromhex(self.signature), manifest)
        except (InvalidSignature, ValueError) as error:
            raise InputError(
                f"{source} does not fit manifest.json: one of them was changed",
                f"the manifest that key {self.signer} signed",
                UNTRUSTED,
            ) from error
        if key is not None:
            return f"by the trusted key {self.signer}"
        return (
            f"intact, by key {self.signer}, which may be anyone's: "
            "to know whose, add --trust PUB.pem"
        )
