"""NpuConfig: every parameter of the generated accelerator, checked where it is made, and the sizes
that follow from them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rtl_gen.packing import Packing, packing
from rtl_gen.parameters import FLAGS, OPTIONS, PACKED_PIXELS, SPARSITIES, STREAM_BITS, check
from rtl_gen.sizes import DerivedSizes


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def _log2_ceil(n: int) -> int:
    return (n - 1).bit_length()


@dataclass(frozen=True)
class NpuConfig(DerivedSizes[int]):
    """Parameters of one NPU.

    The array computes ``pixels x lanes x columns`` products of an unsigned
    ``activation_bits``-bit activation and one ``weight_digit_bits``-bit weight digit per
    clock cycle. See docs/npu.md for the micro-architecture.

    Raises ConfigError when a value is out of range.
    """

    pixels: int = 2
    """P: output pixels (one per image strip) computed side by side, 1..16."""
    lanes: int = 8
    """N: input channels reduced per cycle, and channels per activation word, 2..64."""
    columns: int = 8
    """M: output channels computed side by side; a multiple of ``lanes``, up to 128."""
    weight_digit_bits: int = 2
    """d: weight bits consumed per pass; a w-bit weight takes ceil(max(w, 2) / d) passes, but see
    ``binary_weights``."""
    activation_bits: int = 4
    """A: stored activation width, 1..8; a layer may use fewer."""
    accumulator_bits: int = 20
    """Accumulator width, 10..32; the compiler proves that no layer overflows it."""
    scale_bits: int = 8
    """Width of the unsigned requantisation multiplier, 4..16."""
    post_units: int = 2
    """U: post-process units; a divisor of ``lanes``. A tile drains in pixels*columns/U cycles."""
    activation_depth: int = 1024
    """Words of ``lanes * activation_bits`` bits per activation bank (there are ``pixels`` banks);
    a power of two, 16..32768."""
    weight_depth: int = 512
    """Words of the weight buffer, ``lanes * columns * weight_digit_bits`` bits each when dense; a
    power of two."""
    channel_depth: int = 64
    """Words (``post_units`` channels each) of the bias / scale / shift table; a power of two."""
    result_depth: int = 16
    """Words (``post_units`` accumulators each) of the result buffer; a power of two."""
    program_depth: int = 512
    """64-bit words of program memory; a power of two, 32..4096."""
    multiplier: str = "lut"
    """``lut``: products in LUTs and carry chains; ``dsp``: one DSP slice per product; ``dsp2``: one
    per two products, those of two columns (``columns`` is even, ``sparsity`` dense,
    ``depthwise_taps`` 1); ``dsp4``: one per four, of two columns and two pixels (``pixels`` is
    even, too), where the bits are few enough (rtl_gen.packing)."""
    sparsity: str = "dense"
    """``dense``, or N:M: the array multiplies N of every M lanes, which its weight words choose
    per column (``1:4``, ``2:4``, ``4:8``). ``lanes`` is then a multiple of M. Layers with more
    weights than that run too, in up to M/N phases."""
    depthwise_taps: int = 1
    """Kernel columns that a cell multiplies per cycle in depthwise layers. 3: a history of the
    words read feeds two lanes more (rtl_gen.blocks.history); ``lanes`` is then at least 4, and
    ``sparsity`` dense."""
    memory_port_bits: int = 0
    """Width of the AXI4 port through which weights come from memory beside the layers (FETCH);
    0: none, all weights are on chip."""
    memory_tiles: bool = False
    """True: feature maps go to memory and come back, in bands of rows, through that port (SPILL and
    FILL), which then writes, too; False: they stay on chip."""
    binary_weights: bool = False
    """True: layers of 1-bit weights (+1, -1) take one pass of 1-bit digits instead of two. A column
    more sums the activations themselves, of which the others' sums are then taken twice over
    (docs/npu.md). With ``weight_digit_bits`` 1, ``multiplier`` lut and ``sparsity`` dense."""

    def __post_init__(self) -> None:
        for name in FLAGS:
            if getattr(self, name) in (0, 1):  # as files have them
                object.__setattr__(self, name, bool(getattr(self, name)))
        check(vars(self))

    # Derived sizes -------------------------------------------------------------------------

    @property
    def kept(self) -> int:
        """N of N:M: lanes of a group that one cycle multiplies; 1 when dense."""
        return SPARSITIES[self.sparsity][0]

    @property
    def group(self) -> int:
        """M of N:M: lanes that share ``kept`` products; 1 when dense."""
        return SPARSITIES[self.sparsity][1]

    @property
    def hardware_products(self) -> int:
        """Products that the array has hardware for: ``macs`` when dense."""
        return self.pixels * self.slots * self.columns

    @property
    def index_bits(self) -> int:
        """Bits beside each digit that choose its lane: one of group - kept + 1, 0 when dense."""
        return _log2_ceil(self.group - self.kept + 1)

    @property
    def most_phases(self) -> int:
        """Cycles per tap of a layer whose weights are all there."""
        return self.group // self.kept

    @property
    def activation_word_beats(self) -> int:
        """Stream beats of one full activation word."""
        return _ceil_div(self.activation_word_bits, STREAM_BITS)

    @property
    def fetched_word_beats(self) -> int:
        """Beats of the memory port that one weight word takes."""
        return _ceil_div(self.weight_word_columns * STREAM_BITS, self.memory_port_bits)

    @property
    def tile_word_beats(self) -> int:
        """Beats of the memory port that one activation word takes."""
        return _ceil_div(self.activation_word_bits, self.memory_port_bits)

    @property
    def chunks_per_word(self) -> int:
        """Post-process steps that fill one activation word."""
        return self.lanes // self.post_units

    @property
    def chunks(self) -> int:
        """Post-process steps of one pixel's ``columns`` accumulators."""
        return self.columns // self.post_units

    @property
    def words_per_tile(self) -> int:
        """Activation words per pixel that one tile of ``columns`` channels fills."""
        return self.columns // self.lanes

    @property
    def uses_dsps(self) -> bool:
        """Whether synthesis may take DSP slices."""
        return self.multiplier != "lut"

    @property
    def packing(self) -> Packing | None:
        """How products share a DSP slice; None where they do not."""
        pixels = PACKED_PIXELS.get(self.multiplier)
        return packing(self.activation_bits, self.weight_digit_bits, pixels) if pixels else None

    @property
    def activation_offset(self) -> int:
        """What the array takes from each activation code; the compiler's biases make up for it."""
        return self.packing.activation_offset if self.packing else 0

    @property
    def reuses_columns(self) -> bool:
        """Whether depthwise layers can take earlier columns from a history."""
        return self.depthwise_taps > 1

    def passes(self, weight_bits: int) -> int:
        """Digit passes of a ``weight_bits``-bit weight; 1-bit weights, +1 and -1, need two bits
        where they are not taken as binary ones."""
        return _ceil_div(max(weight_bits, 2), self.weight_digit_bits)

    @property
    def least_passes(self) -> int:
        """Digit passes of weights that are not binary: the sign of a 1-bit digit of products in
        LUTs is taken where the next pass starts."""
        return 2 if self.multiplier == "lut" and self.weight_digit_bits == 1 else 1

    # Plain values, identity ----------------------------------------------------------------

    @staticmethod
    def from_dict(values: Mapping[str, int | str]) -> NpuConfig:
        """The configuration of plain values by parameter name, as ``to_dict`` gives them."""
        plain: dict[str, Any] = dict(values)
        return NpuConfig(**plain)

    def to_dict(self) -> dict[str, int | str]:
        """All parameters but OPTIONS that are not used; flags as 0 and 1, for hash and files."""
        unused = {f.name for f in dataclasses.fields(self) if getattr(self, f.name) == f.default}
        unused &= set(OPTIONS)
        values = dataclasses.asdict(self).items()
        return {k: int(v) if k in FLAGS else v for k, v in values if k not in unused}

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON form; its first 32 bits are in the CONFIG_HASH register."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
