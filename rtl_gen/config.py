"""NpuConfig: every parameter of one generated NPU, validated on construction, and derived sizes."""

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
    """Parameters of one NPU; the ``npu`` section of a design file has the same names.

    Each clock cycle the array computes ``pixels x lanes x columns`` products (N/M of them with N:M
    sparsity) of an unsigned ``activation_bits``-bit activation and one ``weight_digit_bits``-bit
    weight digit.
    docs/explanation/npu.md describes the micro-architecture. Raises ConfigError when a value is of
    another type, out of range, or does not go with the others.

    >>> config = NpuConfig(pixels=2, lanes=16, columns=16, weight_digit_bits=4)
    >>> config.macs, config.passes(weight_bits=8)
    (512, 2)
    >>> NpuConfig.from_dict(config.to_dict()) == config
    True
    """

    pixels: int = 2
    """Spatial parallelism P, 1..16: output pixels computed in parallel, one per horizontal strip.
    Array LUTs and activation banks grow in proportion; the weight buffer does not."""
    lanes: int = 8
    """Input-channel parallelism N, 2..64: input channels reduced per cycle, and channels per
    activation word. A layer's taps are counted in words, so unused lanes of its last word are
    idle."""
    columns: int = 8
    """Output-channel parallelism M, 2..128, a multiple of ``lanes``: output channels per tile."""
    weight_digit_bits: int = 2
    """Weight bits d multiplied per bit-serial pass: 1, 2, 4 or 8. A layer of w-bit weights takes
    ceil(max(w, 2) / d) passes over its taps (1-bit weights one pass with ``binary_weights``). More
    bits cost more LUTs per product and a wider weight buffer."""
    activation_bits: int = 4
    """Width A in bits of a stored activation code, which is unsigned, 1..8. A tensor may use fewer
    bits; that saves no cycles. The network's input may use more with ``wide_input_passes``."""
    accumulator_bits: int = 20
    """Width in bits of the signed accumulators, 10..32, which wrap. The compiler rejects a network
    of which a layer's sums or biases could overflow them. Training keeps to widths that any weights
    could overflow."""
    scale_bits: int = 8
    """Width in bits of the unsigned requantisation multiplier, 4..16. Training with the same width
    learns scales that the hardware represents exactly."""
    post_units: int = 2
    """Post-processing units U, 1..64, a divisor of ``lanes``. Draining the accumulators of one
    output position of all pixels and columns takes pixels * columns / U cycles; it overlaps with
    the products of the next position, and the longer of the two sets the pace."""
    activation_depth: int = 1024
    """Words per activation bank, a power of two, 16..32768. There are ``pixels`` banks of words of
    ``lanes * activation_bits`` bits, in block RAM (small ones in distributed RAM)."""
    weight_depth: int = 512
    """Words of the weight buffer, a power of two or a multiple of 512, 16..65536. A word holds the
    digits of one cycle: ``lanes * columns * weight_digit_bits`` bits for dense weights, those of
    one more column with ``binary_weights``. The buffer must hold all layers, unless
    ``memory_port_bits`` provides the weights from memory."""
    channel_depth: int = 64
    """Words of the table of biases, requantisation multipliers and shifts, a power of two,
    4..16384. A word holds ``post_units`` output channels."""
    result_depth: int = 16
    """Words of the result buffer for the logits, a power of two, 2..4096. A word holds
    ``post_units`` accumulators."""
    program_depth: int = 512
    """64-bit words of program memory, a power of two, 32..4096. A LAYER instruction takes 15 or 16
    words."""
    multiplier: str = "lut"
    """Implementation of the products. ``lut``: LUTs and carry chains. ``dsp``: one DSP slice per
    product, but in LUTs if activation and digit have less than 7 bits in all. ``dsp2``: one slice
    per two products, of two columns; requires ``sparsity`` dense, ``depthwise_taps`` 1, even
    ``columns``, and not 1-bit activations with 1-bit digits. ``dsp4``: one slice per four products,
    of two columns and two pixels; requires also even ``pixels`` and activations of at most 7, 6 or
    4 bits with digits of 1, 2 or 4 bits."""
    sparsity: str = "dense"
    """Structured weight sparsity: ``dense``, or N:M as ``1:4``, ``2:4``, ``4:8``. An N:M array has
    multipliers for N of every M consecutive lanes, which an index beside each weight digit selects
    per column; ``lanes`` must be a multiple of M. Layers with the pattern run as fast as on a dense
    array of M/N times the multipliers, other layers take up to M/N cycles per tap."""
    depthwise_taps: int = 1
    """Kernel columns that a cell multiplies per cycle in depthwise layers: 1, or 3 with a history
    buffer of recently read columns, so that a 3x3 position with stride 1 takes 3 cycles a pass
    instead of 9. 3 requires at least 4 ``lanes``, ``sparsity`` dense and ``multiplier`` lut or
    dsp, and costs distributed RAM and multiplexers per pixel and lane."""
    memory_port_bits: int = 0
    """Data width in bits of the AXI4 port over which FETCH reads weights from external memory while
    layers run: 32, 64, 128, or 0 for no port, with all weights on chip. Too narrow a port adds
    waits, which STALLS counts."""
    memory_tiles: bool = False
    """True: feature maps that do not fit on chip are written to external memory (SPILL) and read
    back (FILL) in bands of rows over the AXI4 port, some 300 LUTs more; requires
    ``memory_port_bits``. False: all feature maps stay on chip."""
    binary_weights: bool = False
    """Adds one array column that accumulates sum(a); post-processing computes
    sum(w a) = 2 sum(t a) - sum(a) with t = (w == +1), so layers of 1-bit weights (+1, -1) need one
    pass instead of two, except ones with groups, two inputs, a sparsity pattern or zeros. Costs
    ``pixels`` cells, ``post_units * accumulator_bits`` LUTs and 1 cycle of latency. Requires
    ``weight_digit_bits`` 1, ``multiplier`` lut and ``sparsity`` dense."""
    wide_input_passes: int = 0
    """Weight digit passes of a layer that reads a network input of more than ``activation_bits``
    bits: 1..8, or 0 if there is none. Such codes are stored as digits of ``activation_bits`` bits,
    and the layer takes so many passes for each of them; its weights must fit as many digits.
    Requires ``weight_digit_bits`` * (``wide_input_passes`` - 1) <= ``activation_bits``."""
    activation_tables: int = 0
    """Look-up tables of a code for each code, 0, 1, 2, 4 or 8: layers with an activation function
    (sigmoid, tanh, SiLU, ...) replace their results by it. Every post unit has them in a memory of
    ``activation_tables << activation_bits`` words of ``activation_bits`` bits, 2 cycles of latency;
    the host writes them with the channel table, which must have as many words."""
    requantisation: str = "multiply"
    """How post units turn accumulators into codes. ``multiply``: bias, requantisation multiplier,
    shift, rounding, clamp. ``thresholds``: comparison with the 2**``activation_bits`` - 1
    accumulators at which a channel's code rises, which gives the same codes for a sixth of the
    LUTs. Requires ``activation_bits`` 1..3 and ``activation_tables`` 0; ``scale_bits`` is of no
    account then."""

    def __post_init__(self) -> None:
        for name in FLAGS:
            if getattr(self, name) in (0, 1):  # the form in files
                object.__setattr__(self, name, bool(getattr(self, name)))
        check(vars(self))

    # Derived sizes -------------------------------------------------------------------------

    @property
    def kept(self) -> int:
        """N of N:M sparsity: lanes of a group that are multiplied in one cycle; 1 when dense."""
        return SPARSITIES[self.sparsity][0]

    @property
    def group(self) -> int:
        """M of N:M sparsity: lanes of a group, which shares ``kept`` multipliers; 1 when dense."""
        return SPARSITIES[self.sparsity][1]

    @property
    def hardware_products(self) -> int:
        """Products that the array computes per cycle: ``macs`` when dense, N/M of it otherwise.

        Those of the column that ``binary_weights`` adds are not counted.
        """
        return self.pixels * self.slots * self.columns

    @property
    def index_bits(self) -> int:
        """Width in bits of the lane index beside each weight digit; 0 when dense.

        The index has group - kept + 1 values.
        """
        return _log2_ceil(self.group - self.kept + 1)

    @property
    def most_phases(self) -> int:
        """Weight words (cycles) per tap of a layer without zero weights: M/N; 1 when dense."""
        return self.group // self.kept

    @property
    def activation_word_beats(self) -> int:
        """32-bit stream beats of one full activation word, rounded up."""
        return _ceil_div(self.activation_word_bits, STREAM_BITS)

    @property
    def weight_address_bits(self) -> int:
        """Width in bits of an address of the weight buffer."""
        return _log2_ceil(self.weight_depth)

    @property
    def fetched_word_beats(self) -> int:
        """Beats of the memory port per weight word, rounded up.

        A weight word is a whole number of 32-bit bus words. Raises ZeroDivisionError without a
        port (``memory_port_bits`` 0).
        """
        return _ceil_div(self.weight_word_columns * STREAM_BITS, self.memory_port_bits)

    @property
    def tile_word_beats(self) -> int:
        """Beats of the memory port per activation word, rounded up.

        Raises ZeroDivisionError without a port (``memory_port_bits`` 0).
        """
        return _ceil_div(self.activation_word_bits, self.memory_port_bits)

    @property
    def chunks_per_word(self) -> int:
        """Drain steps that fill one activation word: lanes / post_units."""
        return self.lanes // self.post_units

    @property
    def chunks(self) -> int:
        """Drain steps of one pixel's accumulators: columns / post_units."""
        return self.columns // self.post_units

    @property
    def words_per_tile(self) -> int:
        """Activation words per pixel that one tile of ``columns`` output channels fills."""
        return self.columns // self.lanes

    @property
    def has_thresholds(self) -> bool:
        """True if post units compare accumulators with thresholds (``requantisation``)."""
        return self.requantisation == "thresholds"

    @property
    def uses_dsps(self) -> bool:
        """True if products are made in DSP slices."""
        return self.multiplier != "lut"

    @property
    def packing(self) -> Packing | None:
        """Layout of the products that share a DSP slice (``dsp2``, ``dsp4``); None otherwise."""
        pixels = PACKED_PIXELS.get(self.multiplier)
        return packing(self.activation_bits, self.weight_digit_bits, pixels) if pixels else None

    @property
    def activation_offset(self) -> int:
        """Constant that the array subtracts from every activation code before it multiplies.

        128 for ``dsp2`` with 8-bit activations and digits, else 0. The compiler makes up for it in
        the biases.
        """
        return self.packing.activation_offset if self.packing else 0

    @property
    def reuses_columns(self) -> bool:
        """True if depthwise layers can reuse columns from the history (``depthwise_taps`` 3)."""
        return self.depthwise_taps > 1

    def activation_digits(self, code_bits: int) -> int:
        """Return the digits of ``activation_bits`` bits in which codes of ``code_bits`` are stored.

        It is 1 without ``wide_input_passes``, which all wider codes require.
        """
        return _ceil_div(code_bits, self.activation_bits) if self.wide_input_passes else 1

    def passes(self, weight_bits: int) -> int:
        """Return the bit-serial passes of a layer: ceil(max(weight_bits, 2) / weight_digit_bits).

        weight_bits: width of the layer's weights, >= 1. 1-bit weights (+1, -1) count as 2-bit ones;
        layers that ``binary_weights`` serves take one pass instead, which is not regarded here.
        """
        return _ceil_div(max(weight_bits, 2), self.weight_digit_bits)

    @property
    def least_passes(self) -> int:
        """Smallest number of bit-serial passes in which the array can apply a weight's sign.

        It is 2 for 1-bit digits multiplied in LUTs, whose sign is applied when the second pass
        starts, otherwise 1.
        """
        return 2 if self.multiplier == "lut" and self.weight_digit_bits == 1 else 1

    # Plain values, identity ----------------------------------------------------------------

    @staticmethod
    def from_dict(values: Mapping[str, int | str]) -> NpuConfig:
        """Return the configuration with these values by parameter name, the inverse of ``to_dict``.

        Parameters that are missing have their defaults. Raises ConfigError for a value of another
        type, out of range or in conflict with others, TypeError for an unknown name.
        """
        plain: dict[str, Any] = dict(values)
        return NpuConfig(**plain)

    def to_dict(self) -> dict[str, int | str]:
        """Return the parameters by name as plain values, as files and ``hash`` have them.

        Flags are 0 or 1; parameters in OPTIONS are left out at their default.
        """
        unused = {f.name for f in dataclasses.fields(self) if getattr(self, f.name) == f.default}
        unused &= set(OPTIONS)
        values = dataclasses.asdict(self).items()
        return {k: int(v) if k in FLAGS else v for k, v in values if k not in unused}

    @property
    def hash(self) -> str:
        """SHA-256 of ``to_dict`` as JSON with sorted keys and no blanks, in hexadecimal.

        The CONFIG_HASH register holds its first 8 digits as a 32-bit number.
        """
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
