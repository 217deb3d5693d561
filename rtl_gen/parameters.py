"""What the parameters of an NPU may be, alone and together, and the widths that all NPUs share."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from rtl_gen.packing import COLUMNS, packing

if TYPE_CHECKING:  # which checks itself with ``check``
    from rtl_gen.config import NpuConfig

STREAM_BITS = 32
"""Width of both AXI4-Stream ports and of the AXI4-Lite data bus, in bits."""
SHIFT_BITS = 5
"""Width of the requantisation shift field, in bits: shifts of 1..31."""

MULTIPLIERS = ("lut", "dsp", "dsp2", "dsp4")
PACKED_PIXELS = {"dsp2": 1, "dsp4": 2}
"""Multipliers whose DSP slices make products of two columns each: of one pixel, or of two."""
SPARSITIES = {"dense": (1, 1), "1:4": (1, 4), "2:4": (2, 4), "4:8": (4, 8)}
"""Weights that the array takes per cycle and column: at most so many of so many lanes."""
DIGIT_BITS = (1, 2, 4, 8)
MEMORY_PORT_BITS = (0, 32, 64, 128)
MEMORY_TILES = (0, 1)
BINARY_WEIGHTS = (0, 1)
DEPTHWISE_TAPS = (1, 3)
LEAST_REUSE_LANES = 4
"""A lane for each of three kernel columns, two of them outside the first one's pair."""
CHOICES: dict[str, tuple[int | str, ...]] = {
    "weight_digit_bits": DIGIT_BITS,
    "multiplier": MULTIPLIERS,
    "memory_port_bits": MEMORY_PORT_BITS,
    "memory_tiles": MEMORY_TILES,
    "binary_weights": BINARY_WEIGHTS,
    "depthwise_taps": DEPTHWISE_TAPS,
    "sparsity": tuple(SPARSITIES),
}
"""Values of each parameter that may be one of a few."""
OPTIONS = ("sparsity", "depthwise_taps", "memory_port_bits", "memory_tiles", "binary_weights")
"""Parameters that hash and files of an NPU leave out at their default, as those from before had
none."""
BINARY_NEEDS = {"weight_digit_bits": 1, "multiplier": "lut", "sparsity": "dense"}
"""What ``binary_weights`` goes together with."""
RANGES = {
    "pixels": (1, 16),
    "lanes": (2, 64),
    "columns": (2, 128),
    "activation_bits": (1, 8),
    "accumulator_bits": (10, 32),
    "scale_bits": (4, 16),
    "post_units": (1, 64),
}
"""Smallest and largest value of each number that may be any between them."""
DEPTH_RANGES = {
    "activation_depth": (16, 32768),
    "weight_depth": (16, 65536),
    "channel_depth": (4, 16384),
    "result_depth": (2, 4096),
    "program_depth": (32, 4096),
}
"""Smallest and largest depth of each memory, in words; depths are powers of two."""


class ConfigError(ValueError):
    """A parameter outside its range; the message says what, the value and what is allowed."""


def check(config: NpuConfig) -> None:
    """Raises ConfigError when a parameter is out of range, or does not go with the others."""
    for field in dataclasses.fields(config):
        kind, value = type(field.default), getattr(config, field.name)
        if type(value) is not kind:
            raise ConfigError(f"npu.{field.name} must be {kind.__name__}, not {value!r}")
    for name, (low, high) in RANGES.items():
        _check_range(config, name, low, high)
    for name, allowed in CHOICES.items():
        value = getattr(config, name)
        if value not in allowed:
            choices = ", ".join(str(choice) for choice in allowed)
            raise ConfigError(f"npu.{name} must be one of {choices}, not {value!r}")
    for name, (low, high) in DEPTH_RANGES.items():
        _check_range(config, name, low, high)
        value = getattr(config, name)
        if value & (value - 1):
            raise ConfigError(f"npu.{name} must be a power of two, not {value}")
    if config.columns % config.lanes:
        raise ConfigError(
            f"npu.columns must be a multiple of npu.lanes ({config.lanes}), not {config.columns}"
        )
    if config.lanes % config.post_units:
        raise ConfigError(
            f"npu.post_units must divide npu.lanes ({config.lanes}), not {config.post_units}"
        )
    _check_options(config)
    if config.multiplier in PACKED_PIXELS:
        _check_packing(config, PACKED_PIXELS[config.multiplier])


def _check_range(config: NpuConfig, name: str, low: int, high: int) -> None:
    value = getattr(config, name)
    if not low <= value <= high:
        raise ConfigError(f"npu.{name} must be {low}..{high}, not {value}")


def _check_options(config: NpuConfig) -> None:
    """What options ask of the other parameters."""
    if config.lanes % config.group:
        raise ConfigError(
            f"npu.lanes must be a multiple of {config.group} with npu.sparsity {config.sparsity}, "
            f"not {config.lanes}"
        )
    if config.reuses_columns and config.group > 1:
        raise ConfigError(
            f"npu.sparsity must be dense with npu.depthwise_taps {config.depthwise_taps}, "
            f"not {config.sparsity}"
        )
    if config.reuses_columns and config.lanes < LEAST_REUSE_LANES:
        raise ConfigError(
            f"npu.lanes must be at least {LEAST_REUSE_LANES} with npu.depthwise_taps "
            f"{config.depthwise_taps}, not {config.lanes}"
        )
    if config.memory_tiles and not config.memory_port_bits:
        raise ConfigError("npu.memory_tiles must be 0 without npu.memory_port_bits, not 1")
    if config.binary_weights:
        for name, needed in BINARY_NEEDS.items():
            if getattr(config, name) != needed:
                raise ConfigError(
                    f"npu.{name} must be {needed} with npu.binary_weights, "
                    f"not {getattr(config, name)}"
                )


def _check_packing(config: NpuConfig, pixels: int) -> None:
    """What products that share DSP slices ask for."""
    for name, allowed in (("sparsity", "dense"), ("depthwise_taps", 1)):
        if getattr(config, name) != allowed:
            raise ConfigError(
                f"npu.{name} must be {allowed} with npu.multiplier {config.multiplier}, "
                f"not {getattr(config, name)}"
            )
    for name, step in (("columns", COLUMNS), ("pixels", pixels)):
        if getattr(config, name) % step:
            raise ConfigError(
                f"npu.{name} must be a multiple of {step} with npu.multiplier "
                f"{config.multiplier}, not {getattr(config, name)}"
            )
    digit = config.weight_digit_bits
    if not packing(config.activation_bits, digit, pixels):
        fit = [bits for bits in range(1, 9) if packing(bits, digit, pixels)]
        if not fit:
            raise ConfigError(
                f"npu.weight_digit_bits must be less than {digit} with npu.multiplier "
                f"{config.multiplier}"
            )
        raise ConfigError(
            f"npu.activation_bits must be {fit[0]}..{fit[-1]} with npu.multiplier "
            f"{config.multiplier} and npu.weight_digit_bits {digit}, not {config.activation_bits}"
        )
