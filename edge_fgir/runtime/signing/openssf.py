"""``model.sig``: OpenSSF Model Signing 1.0 with an elliptic curve key.

A Sigstore bundle (0.3) holds a DSSE envelope (1.0.0), which holds an in-toto statement (1) that
lists the SHA-256 of every file of the model. Whoever has the public key checks it with
``model_signing verify key`` too; what that program signed is read here.
Sources: github.com/sigstore/model-transparency (the predicate), github.com/secure-systems-lab/dsse
(the bytes that are signed), docs.sigstore.dev/about/bundle.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from edge_fgir._errors import InputError
from edge_fgir._files import sha256, to_json
from edge_fgir._refusal import validated
from edge_fgir.runtime.manifest import MANIFEST, MODEL_SIGNATURE
from edge_fgir.runtime.signing.keys import PublicKey
from edge_fgir.runtime.signing.signature import UNTRUSTED, Signature, shortened

_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_WANTED = "a signature of OpenSSF Model Signing 1.0"


class _Part(BaseModel):
    # Later versions may say more; what is read here is checked.
    model_config = ConfigDict(frozen=True, extra="ignore")


class _PublicKeyHint(_Part):
    hint: str = ""


class _Material(_Part):
    public_key: _PublicKeyHint = Field(alias="publicKey")


class _Signature(_Part):
    sig: str


class _Envelope(_Part):
    payload: str
    payload_type: str = Field(alias="payloadType", pattern=f"^{_PAYLOAD.replace('+', '[+]')}$")
    signatures: tuple[_Signature, ...] = Field(min_length=1, max_length=1)


class _Resource(_Part):
    name: str
    algorithm: str = Field(pattern="^sha256$")
    digest: str = Field(pattern="^[0-9a-f]{64}$")


class _Predicate(_Part):
    resources: tuple[_Resource, ...] = Field(min_length=1)


class _Digest(_Part):
    sha256: str


class _Subject(_Part):
    digest: _Digest


class _Statement(_Part):
    type_: str = Field(alias="_type", pattern=f"^{_STATEMENT}$")
    predicate_type: str = Field(alias="predicateType", pattern=f"^{_PREDICATE}$")
    subject: tuple[_Subject, ...] = Field(min_length=1, max_length=1)
    predicate: _Predicate


class ModelSignature(_Part, Signature):
    """``model.sig``: beside the manifest, which does not list it."""

    file: ClassVar[str] = MODEL_SIGNATURE

    media_type: str = Field(alias="mediaType", pattern=f"^{_BUNDLE.replace('+', '[+]')}$")
    material: _Material = Field(alias="verificationMaterial")
    envelope: _Envelope = Field(alias="dsseEnvelope")

    @classmethod
    def of(cls, manifest: bytes, key: Any, public: PublicKey) -> ModelSignature:
        """Sign a manifest and the files that it lists with a private key of cryptography."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

        values = json.loads(manifest)
        digests = {entry["path"]: entry["sha256"] for entry in values["files"]}
        payload = _statement(values["name"], {**digests, MANIFEST: sha256(manifest)})
        signed = key.sign(_to_be_signed(payload), ECDSA(_hash_of(key)))
        return cls.model_validate(
            {
                "mediaType": _BUNDLE,
                "verificationMaterial": {"publicKey": {"hint": public.fingerprint}},
                "dsseEnvelope": {
                    "payload": base64.b64encode(payload).decode(),
                    "payloadType": _PAYLOAD,
                    "signatures": [{"sig": base64.b64encode(signed).decode()}],
                },
            }
        )

    def dump(self) -> str:
        """Return the text of ``model.sig``."""
        values = self.model_dump(mode="json", by_alias=True)
        values["verificationMaterial"]["tlogEntries"] = []  # no public log was told
        return to_json(values)

    @classmethod
    def parse(cls, text: bytes, source: str) -> ModelSignature:
        """Read ``model.sig``.

        Raises:
            InputError: It is not valid, or of another version.
        """
        return validated(cls, text, source, _WANTED, UNTRUSTED)

    @property
    def signer(self) -> str:
        """The beginning of the hash of the signer's key, as the signature claims."""
        return shortened(self.material.public_key.hint) or "unknown"

    def is_by(self, key: PublicKey) -> bool:
        """Say whether it names this key, or none."""
        return self.material.public_key.hint in ("", key.fingerprint)

    def check(self, manifest: bytes, source: str, key: PublicKey | None) -> str:
        """Compare the listed hashes with the manifest, and the signature with them.

        Raises:
            InputError: ``key`` did not sign them; cryptography is not installed.
        """
        payload = _decoded(self.envelope.payload, source)
        if key is not None:
            self._check_signed(payload, source, key)
        listed = _resources(payload, source)
        if listed.get(MANIFEST) != sha256(manifest):
            raise InputError(
                f"{source} does not fit manifest.json: one of them was changed",
                f"the manifest that key {self.signer} signed",
                UNTRUSTED,
            )
        files = {entry["path"]: entry["sha256"] for entry in json.loads(manifest)["files"]}
        if strange := sorted(name for name in files if listed.get(name) != files[name]):
            raise InputError(
                f"{source} does not list {strange[0]} as the manifest does", _WANTED, UNTRUSTED
            )
        if key is not None:
            return f"by the trusted key {shortened(key.fingerprint)} (OpenSSF Model Signing)"
        return "fits the files (OpenSSF Model Signing); who signed is told by --trust PUB.pem alone"

    def _check_signed(self, payload: bytes, source: str, key: PublicKey) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

        assert key.curve is not None
        signed = _decoded(self.envelope.signatures[0].sig, source)
        try:
            key.curve.verify(signed, _to_be_signed(payload), ECDSA(_hash_of(key.curve)))
        except InvalidSignature as error:
            raise InputError(
                f"{source} was not made by key {shortened(key.fingerprint)}, or was changed",
                "the signature as it was made",
                UNTRUSTED,
            ) from error


def _statement(name: str, digests: dict[str, str]) -> bytes:
    """Return the in-toto statement about a model: the hash of each file, and one over these."""
    ordered = sorted(digests.items())
    statement = {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": _root([d for _, d in ordered])}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [MODEL_SIGNATURE],
            },
            "resources": [
                {"name": path, "algorithm": "sha256", "digest": digest} for path, digest in ordered
            ],
        },
    }
    return json.dumps(statement, ensure_ascii=False).encode()


def _root(digests: list[str]) -> str:
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()


def _resources(payload: bytes, source: str) -> dict[str, str]:
    """Return the hashes that a statement lists, by file.

    Raises:
        InputError: It is no such statement, or its hash over all of them is another.
    """
    statement = validated(_Statement, payload, source, _WANTED, UNTRUSTED)
    resources = statement.predicate.resources
    listed = {each.name: each.digest for each in resources}
    whole = statement.subject[0].digest.sha256
    if len(listed) != len(resources) or _root([each.digest for each in resources]) != whole:
        raise InputError(f"{source} contradicts itself", _WANTED, UNTRUSTED)
    return listed


def _to_be_signed(payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding of a payload."""
    kind = _PAYLOAD.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _hash_of(key: Any) -> Any:
    """Return the hash that goes with the size of a curve."""
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

    kinds: dict[int, Any] = {256: SHA256, 384: SHA384, 521: SHA512}
    return kinds[key.curve.key_size]()


def _decoded(text: str, source: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{source}: {error}", "base64", UNTRUSTED) from error
