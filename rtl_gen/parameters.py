"""Ranges and mutual constraints of the NPU parameters, and the widths that all NPUs share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rtl_gen.packing import COLUMNS, packing

Values = Mapping[str, int | str]
"""Values of parameters by their names in NpuConfig."""

STREAM_BITS = 32
"""Width of both AXI4-Stream ports and of the AXI4-Lite data bus, in bits."""
SHIFT_BITS = 5
"""Width of the requantisation shift field, in bits: shifts of 1..31."""

MULTIPLIERS = ("lut", "dsp", "dsp2", "dsp4")
PACKED_PIXELS = {"dsp2": 1, "dsp4": 2}
"""Number of pixels whose products share a DSP slice, by value of ``multiplier``; each such slice
serves two columns."""
SPARSITIES = {"dense": (1, 1), "1:4": (1, 4), "2:4": (2, 4), "4:8": (4, 8)}
"""Value of ``sparsity`` -> (N, M): at most N weights in M consecutive lanes; (1, 1) when dense."""
DIGIT_BITS = (1, 2, 4, 8)
MEMORY_PORT_BITS = (0, 32, 64, 128)
FLAGS = ("memory_tiles", "binary_weights")
"""Boolean parameters; 0 and 1 in files."""
DEPTHWISE_TAPS = (1, 3)
WIDE_INPUT_PASSES = tuple(range(9))
ACTIVATION_TABLES = (0, 1, 2, 4, 8)
REQUANTISATIONS = ("multiply", "thresholds")
MOST_THRESHOLD_BITS = 3
"""Widest activation codes with ``requantisation`` thresholds: each bit doubles their number."""
CHANNEL_WINDOW_WORDS = 1 << 19
"""32-bit bus words that the address window of the channel table has room for."""
TABLE_POSITION = 24
"""Lowest bit of an entry of the activation tables in a word of multiplier and shift."""
LEAST_REUSE_LANES = 4
"""Fewest lanes with ``depthwise_taps`` 3: the two reused kernel columns take lanes outside the
lane pair of the newest one."""
CHOICES: dict[str, tuple[int | str, ...]] = {
    "weight_digit_bits": DIGIT_BITS,
    "multiplier": MULTIPLIERS,
    "memory_port_bits": MEMORY_PORT_BITS,
    **dict.fromkeys(FLAGS, (False, True)),
    "depthwise_taps": DEPTHWISE_TAPS,
    "wide_input_passes": WIDE_INPUT_PASSES,
    "activation_tables": ACTIVATION_TABLES,
    "requantisation": REQUANTISATIONS,
    "sparsity": tuple(SPARSITIES),
}
"""Allowed values of each parameter that has a fixed set of them."""
OPTIONS = (
    "sparsity", "depthwise_taps", "memory_port_bits", "memory_tiles", "binary_weights",
    "wide_input_passes", "activation_tables", "requantisation",
)  # fmt: skip
"""Parameters that an NPU's hash and files leave out at their default, so that adding one does not
change the hash of an NPU that does not use it."""
BINARY_NEEDS: Values = {"weight_digit_bits": 1, "multiplier": "lut", "sparsity": "dense"}
"""Values of other parameters that ``binary_weights`` requires."""
PACKING_NEEDS: Values = {"sparsity": "dense", "depthwise_taps": 1}
"""Values of other parameters that products sharing DSP slices (``dsp2``, ``dsp4``) require."""
THRESHOLD_NEEDS: Values = {"activation_tables": 0}
"""Values of other parameters that ``requantisation`` thresholds requires."""
RANGES = {
    "pixels": (1, 16),
    "lanes": (2, 64),
    "columns": (2, 128),
    "activation_bits": (1, 8),
    "accumulator_bits": (10, 32),
    "scale_bits": (4, 16),
    "post_units": (1, 64),
}
"""Smallest and largest value of each integer parameter that may take any value in between."""
DEPTH_RANGES = {
    "activation_depth": (16, 32768),
    "weight_depth": (16, 65536),
    "channel_depth": (4, 16384),
    "result_depth": (2, 4096),
    "program_depth": (32, 4096),
}
"""Smallest and largest depth of each memory, in words; depths are powers of two, but for those that
DEPTH_STEPS allows."""
DEPTH_STEPS = {"weight_depth": 512}
"""Memories whose depth may also be a multiple of so many words, those of the shallowest block RAM.

Such a depth saves block RAMs and takes multiplexers, as several of them make up the depth.
"""


def is_stacked(depth: Any) -> Any:
    """Return whether a depth >= 1 is no power of two, and so a stack of block RAMs: bool.

    For an integer array it is a bool array.
    """
    return (depth & (depth - 1)) > 0


def stacked_depth(words: Any, depth: Any) -> Any:
    """Return the least depth of weight memory, stacks of 3 or 5 included, that holds ``words``.

    words: those that are needed; depth: the least power of two that holds them. Integers, or int64
    arrays of one shape. Returns an array of that shape, () for integers, where no stack is possible
    ``depth`` itself.
    """
    found, step = depth, DEPTH_STEPS["weight_depth"]
    for eighths in (6, 5):  # a stack of 3 is 3/4 of a power of two, one of 5 is 5/8
        option = depth // 8 * eighths
        found = np.where((option >= words) & (option % step == 0), option, found)
    return found


class ConfigError(ValueError):
    """An NPU parameter out of range, or in conflict with others.

    The message names it, its value and what is allowed.
    """


def check(values: Values) -> None:
    """Check all parameters of one NPU, each alone and against the others.

    values: every parameter of NpuConfig by name, flags as bool. Raises ConfigError for the first
    violation.
    """
    for name, value in values.items():
        kind = type(CHOICES[name][0]) if name in CHOICES else int
        if type(value) is not kind:
            words = "true or false" if name in FLAGS else kind.__name__
            raise ConfigError(f"npu.{name} must be {words}, not {value!r}")
    for name, (low, high) in RANGES.items():
        _check_range(values, name, low, high)
    for name, allowed in CHOICES.items():
        if values[name] not in allowed:
            choices = ", ".join(str(choice) for choice in allowed)
            raise ConfigError(f"npu.{name} must be one of {choices}, not {values[name]!r}")
    for name, (low, high) in DEPTH_RANGES.items():
        _check_range(values, name, low, high)
        depth, step = _number(values, name), DEPTH_STEPS.get(name)
        if is_stacked(depth) and (step is None or depth % step):
            multiple = f" or a multiple of {step}" if step else ""
            raise ConfigError(f"npu.{name} must be a power of two{multiple}, not {depth}")
    lanes, columns, post_units = (_number(values, n) for n in ("lanes", "columns", "post_units"))
    if columns % lanes:
        raise ConfigError(f"npu.columns must be a multiple of npu.lanes ({lanes}), not {columns}")
    if lanes % post_units:
        raise ConfigError(f"npu.post_units must divide npu.lanes ({lanes}), not {post_units}")
    _check_options(values)
    if values["multiplier"] in PACKED_PIXELS:
        _check_packing(values)


def _number(values: Values, name: str) -> int:
    return int(values[name])


def _check_range(values: Values, name: str, low: int, high: int) -> None:
    if not low <= _number(values, name) <= high:
        raise ConfigError(f"npu.{name} must be {low}..{high}, not {values[name]}")


def _check_options(values: Values) -> None:
    """Check what the optional features (OPTIONS) require of the other parameters.

    Raises ConfigError for the first violation.
    """
    lanes, taps = _number(values, "lanes"), _number(values, "depthwise_taps")
    _, group = SPARSITIES[str(values["sparsity"])]
    if lanes % group:
        raise ConfigError(
            f"npu.lanes must be a multiple of {group} with npu.sparsity {values['sparsity']}, "
            f"not {lanes}"
        )
    if taps > 1:
        _check_needs(values, {"sparsity": "dense"}, f"npu.depthwise_taps {taps}")
        if lanes < LEAST_REUSE_LANES:
            raise ConfigError(
                f"npu.lanes must be at least {LEAST_REUSE_LANES} with npu.depthwise_taps {taps}, "
                f"not {lanes}"
            )
    if values["memory_tiles"] and not values["memory_port_bits"]:
        raise ConfigError("npu.memory_tiles must be false without npu.memory_port_bits, not true")
    if values["binary_weights"]:
        _check_needs(values, BINARY_NEEDS, "npu.binary_weights")
    if values["wide_input_passes"]:
        _check_wide_inputs(values)
    if values["requantisation"] == "thresholds":
        _check_thresholds(values)
    tables = _number(values, "activation_tables") << _number(values, "activation_bits")
    if tables > _number(values, "channel_depth"):
        raise ConfigError(
            f"npu.channel_depth must be at least {tables} with npu.activation_tables "
            f"{values['activation_tables']} and npu.activation_bits {values['activation_bits']}, "
            f"not {values['channel_depth']}"
        )


def _check_thresholds(values: Values) -> None:
    """Raise ConfigError if post units cannot have the thresholds of such codes and channels."""
    option = "npu.requantisation thresholds"
    _check_needs(values, THRESHOLD_NEEDS, option)
    bits, units = _number(values, "activation_bits"), _number(values, "post_units")
    if bits > MOST_THRESHOLD_BITS:
        raise ConfigError(
            f"npu.activation_bits must be 1..{MOST_THRESHOLD_BITS} with {option}, not {bits}"
        )
    most = CHANNEL_WINDOW_WORDS >> (units * ((1 << bits) - 1) - 1).bit_length()
    if _number(values, "channel_depth") > most:
        raise ConfigError(
            f"npu.channel_depth must be at most {most} with {option}, npu.activation_bits {bits} "
            f"and npu.post_units {units}, not {values['channel_depth']}"
        )


def _check_wide_inputs(values: Values) -> None:
    """Raise ConfigError if accumulators would move back from one activation digit to the next.

    They move by ``activation_bits`` in all, the shifts of the weight digits' passes included. A
    sign of 1-bit digits in LUTs takes two passes, but that of ``binary_weights`` none.
    """
    passes, digit = (_number(values, n) for n in ("wide_input_passes", "weight_digit_bits"))
    signs = digit == 1 and values["multiplier"] == "lut" and not values["binary_weights"]
    low, high = 1 + signs, _number(values, "activation_bits") // digit + 1
    if not low <= passes <= high:
        allowed = f"0 or {low}..{high}" if low < high else f"0 or {high}"
        raise ConfigError(
            f"npu.wide_input_passes must be {allowed} with npu.weight_digit_bits {digit} and "
            f"npu.activation_bits {values['activation_bits']}, not {passes}"
        )


def _check_needs(values: Values, needs: Values, option: str) -> None:
    """Raise ConfigError if a parameter differs from its value in ``needs``.

    option: what needs these values, as the message names it.
    """
    for name, needed in needs.items():
        if values[name] != needed:
            raise ConfigError(f"npu.{name} must be {needed} with {option}, not {values[name]}")


def _check_packing(values: Values) -> None:
    """Raise ConfigError if products cannot share DSP slices as ``multiplier`` (dsp2, dsp4) asks."""
    option = f"npu.multiplier {values['multiplier']}"
    pixels = PACKED_PIXELS[str(values["multiplier"])]
    _check_needs(values, PACKING_NEEDS, option)
    for name, step in (("columns", COLUMNS), ("pixels", pixels)):
        if _number(values, name) % step:
            raise ConfigError(
                f"npu.{name} must be a multiple of {step} with {option}, not {values[name]}"
            )
    digit = _number(values, "weight_digit_bits")
    if not packing(_number(values, "activation_bits"), digit, pixels):
        low, high = RANGES["activation_bits"]
        fit = [bits for bits in range(low, high + 1) if packing(bits, digit, pixels)]
        if not fit:
            raise ConfigError(f"npu.weight_digit_bits must be less than {digit} with {option}")
        raise ConfigError(
            f"npu.activation_bits must be {fit[0]}..{fit[-1]} with {option} and "
            f"npu.weight_digit_bits {digit}, not {values['activation_bits']}"
        )
