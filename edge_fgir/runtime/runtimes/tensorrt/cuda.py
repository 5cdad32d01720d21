"""The few calls of the CUDA runtime that inference needs, through ctypes: no package to install."""

from __future__ import annotations

import ctypes
import ctypes.util

from edge_fgir._errors import EdgeFgirError, InputError

_HOST_TO_DEVICE, _DEVICE_TO_HOST = 1, 2
_MULTIPROCESSORS, _CAPABILITY_MAJOR, _CAPABILITY_MINOR = 16, 75, 76
_NAMES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")


class Cuda:
    """The CUDA runtime library of this machine."""

    def __init__(self) -> None:
        self._lib = _load()
        self._lib.cudaGetErrorString.restype = ctypes.c_char_p

    def _check(self, status: int) -> None:
        if status:
            text = self._lib.cudaGetErrorString(status).decode()
            raise EdgeFgirError(f"CUDA error {status}: {text}")

    def driver_version(self) -> int:
        """Return the newest CUDA version the driver supports, as ``1000 * major + 10 * minor``."""
        version = ctypes.c_int()
        self._check(self._lib.cudaDriverGetVersion(ctypes.byref(version)))
        return version.value

    def gpu(self) -> str:
        """Describe the GPU: compute capability and the multiprocessors the power mode leaves it."""
        major, minor, count = map(
            self._attribute, (_CAPABILITY_MAJOR, _CAPABILITY_MINOR, _MULTIPROCESSORS)
        )
        return f"sm_{major}{minor} with {count} multiprocessors"

    def _attribute(self, number: int) -> int:
        value = ctypes.c_int()
        self._check(
            self._lib.cudaDeviceGetAttribute(
                ctypes.byref(value), ctypes.c_int(number), ctypes.c_int(0)
            )
        )
        return value.value

    def allocate(self, size: int) -> int:
        """Reserve ``size`` bytes on the device and return the address."""
        address = ctypes.c_void_p()
        self._check(self._lib.cudaMalloc(ctypes.byref(address), ctypes.c_size_t(size)))
        return address.value or 0

    def free(self, address: int) -> None:
        """Give the memory at ``address`` back."""
        self._check(self._lib.cudaFree(ctypes.c_void_p(address)))

    def create_stream(self) -> int:
        """Return the handle of a new stream."""
        stream = ctypes.c_void_p()
        self._check(self._lib.cudaStreamCreate(ctypes.byref(stream)))
        return stream.value or 0

    def to_device(self, target: int, source: int, size: int, stream: int) -> None:
        """Queue a copy of ``size`` bytes from host address ``source`` to the device."""
        self._copy(target, source, size, _HOST_TO_DEVICE, stream)

    def to_host(self, target: int, source: int, size: int, stream: int) -> None:
        """Queue a copy of ``size`` bytes from the device to host address ``target``."""
        self._copy(target, source, size, _DEVICE_TO_HOST, stream)

    def _copy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        self._check(
            self._lib.cudaMemcpyAsync(
                ctypes.c_void_p(target),
                ctypes.c_void_p(source),
                ctypes.c_size_t(size),
                ctypes.c_int(kind),
                ctypes.c_void_p(stream),
            )
        )

    def synchronize(self, stream: int) -> None:
        """Wait until all work queued on ``stream`` is done."""
        self._check(self._lib.cudaStreamSynchronize(ctypes.c_void_p(stream)))


def _load() -> ctypes.CDLL:
    found = ctypes.util.find_library("cudart")
    for name in (*((found,) if found else ()), *_NAMES):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise InputError(
        "the CUDA runtime (libcudart) was not found",
        "a Jetson with JetPack, or CUDA installed",
        "run: edge-fgir doctor --target jetson",
    )
