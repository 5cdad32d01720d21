"""What the kinds of signatures have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from edge_fgir._errors import MissingExtraError

if TYPE_CHECKING:
    from typing_extensions import Self

    from edge_fgir.runtime.signing.keys import PublicKey

UNTRUSTED = "do not use the bundle; get it again from whom you trust"


class Signature(ABC):
    """A signature as it stands in a bundle.

    Attributes:
        file: Its name there.
    """

    file: ClassVar[str]

    @classmethod
    @abstractmethod
    def parse(cls, text: bytes, source: str) -> Self:
        """Read the file ``source``.

        Raises:
            InputError: It is not valid.
        """

    @abstractmethod
    def dump(self) -> str:
        """Return the text of the file."""

    @property
    @abstractmethod
    def signer(self) -> str:
        """The signer's key as the signature names it, short enough to read aloud."""

    @abstractmethod
    def is_by(self, key: PublicKey) -> bool:
        """Say whether the signature names this key; only :meth:`check` proves it."""

    @abstractmethod
    def check(self, manifest: bytes, source: str, key: PublicKey | None) -> str:
        """Compare with the manifest's bytes.

        Args:
            manifest: ``manifest.json``.
            source: The signature's file, for errors.
            key: That must have signed them; None: whose it is stays open.

        Returns:
            What is known now, for people.

        Raises:
            InputError: The key did not sign them; cryptography is not installed.
        """


def shortened(key: str) -> str:
    """Return the beginning of a key, for messages; nothing is decided by it."""
    return key[:16]


def missing(purpose: str) -> MissingExtraError:
    """Return what to tell where cryptography is not installed."""
    return MissingExtraError("cryptography", "sign", purpose)
