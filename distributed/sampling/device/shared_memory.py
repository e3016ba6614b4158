"""Memory that two processes share, for batches of images: the host's, or the GPU's by CUDA IPC."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import tempfile
import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from schemas.errors import DeviceError

SEALS = ("F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_SEAL")
HANDLE_BYTES = 64
LAZY_PEER_ACCESS = 1


class HostMemory:
    """Bytes of a file without a name; `bytes`: a uint8 tensor of all of them.

    Another process that is given the file's descriptor maps the same bytes. It cannot make the file shorter,
    which would end whoever reads beyond its end.
    """

    def __init__(self, count: int) -> None:
        if hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create("images", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        else:
            with tempfile.TemporaryFile() as file:
                self.descriptor = os.dup(file.fileno())
        self._close = weakref.finalize(self, os.close, self.descriptor)
        os.ftruncate(self.descriptor, count)
        if hasattr(fcntl, "F_ADD_SEALS"):
            fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, sum(getattr(fcntl, seal) for seal in SEALS))
        self.bytes = mapped(self.descriptor, count)

    @property
    def description(self) -> dict[str, Any]:
        """For `opened` in the other process."""
        return {"descriptor": self.descriptor, "count": len(self.bytes)}


class CudaMemory:
    """Bytes of the current CUDA device, in an allocation of their own; `bytes`: a uint8 tensor of them.

    Another process that opens the handle can reach nothing else of this one.
    """

    def __init__(self, count: int) -> None:
        """Raises DeviceError where the driver cannot allocate or share it."""
        driver, pointer, handle = _Driver(), ctypes.c_uint64(), _Handle()
        driver("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(count))
        self._free = weakref.finalize(self, driver, "cuMemFree_v2", pointer)
        driver("cuMemsetD8_v2", pointer, ctypes.c_ubyte(0), ctypes.c_size_t(count))
        driver("cuIpcGetMemHandle", ctypes.byref(handle), pointer)
        self._handle, self.bytes = bytes(handle), _at(pointer, count)

    @property
    def description(self) -> dict[str, Any]:
        """For `opened` in the other process."""
        return {"handle": self._handle.hex(), "count": len(self.bytes)}


def opened(description: Mapping[str, Any]) -> Tensor:
    """The same bytes in another process, which keeps them until it ends. Raises DeviceError."""
    if "handle" not in description:
        return mapped(description["descriptor"], description["count"])
    pointer, handle = ctypes.c_uint64(), _Handle.from_buffer_copy(bytes.fromhex(description["handle"]))
    _Driver()("cuIpcOpenMemHandle_v2", ctypes.byref(pointer), handle, ctypes.c_uint(LAZY_PEER_ACCESS))
    return _at(pointer, description["count"])


def mapped(descriptor: int, count: int) -> Tensor:
    """The file's first bytes as a uint8 tensor, shared with all who map them."""
    return torch.frombuffer(mmap.mmap(descriptor, count), dtype=torch.uint8)


class _Handle(ctypes.Structure):
    """`CUipcMemHandle`, which the driver takes by value."""

    _fields_ = (("reserved", ctypes.c_ubyte * HANDLE_BYTES),)


class _Driver:
    """Calls of the CUDA driver, in the context that torch has in this thread."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise DeviceError(f"no CUDA driver ({error})") from error
        torch.cuda.synchronize()

    def __call__(self, function: str, *arguments: Any) -> None:
        if status := getattr(self._library, function)(*arguments):
            name = ctypes.c_char_p()
            self._library.cuGetErrorName(status, ctypes.byref(name))
            raise DeviceError(f"{function}: {(name.value or b'').decode() or status}")


class _Pointed:
    """Memory of the device, as numba's and torch's CUDA array interface has it."""

    def __init__(self, address: int, count: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (count,),
            "typestr": "|u1",
            "data": (address, False),
            "version": 3,
        }


def _at(pointer: ctypes.c_uint64, count: int) -> Tensor:
    return torch.as_tensor(_Pointed(pointer.value, count), device="cuda")
