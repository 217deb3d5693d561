"""Speed of training: the decision to compile it, and its number of threads."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from models.graph.layers import Conv2d, Linear
from models.graph.network import NetworkGraph
from models.training.choices import fast_bfloat16
from models.training.network import QuantNetwork
from models.training.schedule import TrainSettings

EAGER_MACS_PER_SECOND = 4e9
"""Rough speed of training without compilation on one core, in forward MACs per second, for networks
of 3 to 6 MMAC: 1.1e10 was measured on two idle cores, 4e9 on one busy one."""
COMPILE_SECONDS = 70.0
"""Rough cost of compiling both phases, in seconds (measured: 65 to 75 s on one busy core)."""
_PAYS = 2.0
"""Training time without compilation, in units of COMPILE_SECONDS, above which compiling saves time;
compiled training is about 2.5 times as fast."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of glibc's mallopt(3): size of free memory, and of an allocation, in bytes, above which
it is the system's again, and outside the heap."""


def macs(graph: NetworkGraph) -> int:
    """Return the multiplications of one image in conv2d and linear layers.

    Products with padding count.
    """
    total = 0
    for layer in graph.layers:
        if isinstance(layer.spec, Conv2d | Linear):
            channels, rows, cols = graph.shapes[layer.inputs[0]]
            out, out_rows, out_cols = graph.shapes[layer.name]
            taps = channels * rows * cols
            if isinstance(layer.spec, Conv2d):
                kernel = layer.spec.kernel
                taps = channels // layer.spec.groups * kernel[0] * kernel[1]
            total += out * out_rows * out_cols * taps
    return total


def can_compile() -> bool:
    """True if torch.compile can run: it needs g++ (or $CXX) and Python.h (Debian: python3-dev)."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return shutil.which(os.environ.get("CXX", "g++")) is not None and header.is_file()


def pays(graph: NetworkGraph, settings: TrainSettings, images: int) -> bool:
    """True if training is to be compiled, by ``settings.compile`` or (auto) estimated time.

    images: number of training images. Auto never compiles if ``can_compile`` is False.
    """
    if settings.compile != "auto":
        return settings.compile == "always"
    if not can_compile():
        return False
    seconds = settings.epochs * images * macs(graph) / EAGER_MACS_PER_SECOND
    return seconds > _PAYS * COMPILE_SECONDS


def prepare(
    network: QuantNetwork, graph: NetworkGraph, settings: TrainSettings, images: int
) -> Callable[[Tensor], Tensor]:
    """Return the forward function to train with: the network, compiled by torch if that ``pays``.

    It uses the network's own parameters, whose memory format becomes channels_last. images: number
    of training images. Logits are float32, products those of ``settings.bfloat16``. Rounded ones
    are compiled only where they are fast: elsewhere compilers got them wrong.
    """
    # Measured: 1.4 times as fast in floating point, 1.05 times quantised, compiled or not.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    forward: Callable[[Tensor], Tensor] = network
    exact = network.quantised and network.folded  # on hardware's grid, which bfloat16 leaves
    # Measured on a CPU with AVX-512's bfloat16 alone: g++ 12 -O3 -march=native makes NaN of one of
    # torch's transpositions, repeated in place, in gradients of 96 channels of 8 x 8 pixels.
    safe = exact or not settings.bfloat16 or fast_bfloat16()
    if safe and pays(graph, settings, images):
        # Torch keeps what it compiled of all networks, and compiles none beyond a limit of eight.
        torch.compiler.reset()
        forward = torch.compile(network, dynamic=False)

    def rounded(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            logits = forward(images)
        return logits.float()

    return rounded if settings.bfloat16 and not exact else forward


def keep_memory() -> None:
    """Have the process keep the memory of freed tensors, for those of the next step.

    By default large ones go back to the system, which clears every page anew when it is used again:
    15 to 22 % of a training step of 30 to 134 million products. Where malloc is not glibc's it
    stays as it is.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        for option in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            library.mallopt(option, 2**31 - 1)


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Run a block on ``count`` torch threads, then restore their number; None keeps it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
