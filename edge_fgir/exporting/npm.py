"""Libraries that a bundle carries for browsers: pinned packages of npm, in the user's cache."""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import tarfile
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edge_fgir._cache import cache_path
from edge_fgir._errors import InputError
from edge_fgir._files import scratch, write_atomic

_PATIENCE_S = 600


class NpmPackage(BaseModel):
    """A package of the npm registry in one version, and what of it a bundle carries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: Annotated[str, Field(pattern=r"^(@[a-z0-9-]+/)?[a-z0-9-]+$", description="its name")]
    version: Annotated[str, Field(pattern=r"^[0-9.]+$")]
    integrity: Annotated[
        str,
        Field(pattern=r"^sha512-[A-Za-z0-9+/]{86}==$", description="of its file, as npm states it"),
    ]
    files: Annotated[
        dict[str, str], Field(min_length=1, description="paths in a bundle by paths in its file")
    ]
    imports: Annotated[
        dict[str, str],
        Field(description="paths by the names of other packages that its modules import"),
    ] = {}

    def read(self) -> dict[str, bytes]:
        """Return the files by their paths in a bundle.

        The package comes from the user's cache, where ``npm pack`` puts it the first time; none of
        its scripts runs.

        Raises:
            InputError: It cannot be had, or is not the one that was pinned.
        """
        with tarfile.open(fileobj=io.BytesIO(self._archive()), mode="r:gz") as archive:
            members = {path: archive.extractfile(path) for path in self.files}
            found = {self.files[path]: member.read() for path, member in members.items() if member}
        return {path: self._resolved(path, data) for path, data in found.items()}

    def _resolved(self, path: str, data: bytes) -> bytes:
        """Return a module that imports other packages by path, as browsers find nothing by name."""
        if path.endswith(".js"):
            for name, place in self.imports.items():
                data = data.replace(f'from "{name}"'.encode(), f'from "{place}"'.encode())
        return data

    @property
    def path(self) -> Path:
        """Where its file is kept."""
        name = self.package.removeprefix("@").replace("/", "-")
        return cache_path() / "npm" / f"{name}-{self.version}.tgz"

    def _archive(self) -> bytes:
        if not self.path.is_file():
            self._download()
        data = self.path.read_bytes()
        if not self._is_pinned(data):
            raise InputError(
                f"{self.path} is not {self.package} {self.version} as it was published",
                f"a file of integrity {self.integrity}",
                f"remove it and run again: rm {self.path}",
            )
        return data

    def _is_pinned(self, data: bytes) -> bool:
        digest = base64.b64encode(hashlib.sha512(data).digest())
        return self.integrity == f"sha512-{digest.decode()}"

    def _download(self) -> None:
        name = f"{self.package}@{self.version}"
        with scratch() as folder:
            command = ["npm", "pack", name, "--ignore-scripts", "--pack-destination", str(folder)]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE_S)
                data = (folder / self.path.name).read_bytes()
            except (OSError, subprocess.SubprocessError) as error:
                raise InputError(
                    f"{self.path} is not there, and npm cannot get it",
                    f"the package {name} for the page",
                    "run where there is npm and a network, then bring the file here: "
                    f"npm pack {name} --pack-destination {self.path.parent}",
                ) from error
        if not self._is_pinned(data):
            raise InputError(
                f"npm gives another {name} than was published",
                f"a file of integrity {self.integrity}",
                "ask who runs the registry that npm is set to",
            )
        write_atomic(self.path, data)
