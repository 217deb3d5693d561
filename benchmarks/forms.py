"""One small NPU of each form of the hardware, for checks of what the generator emits."""

from __future__ import annotations

from rtl_gen.config import NpuConfig

FORMS = {
    "1-bit digits": NpuConfig(lanes=8, columns=8, weight_digit_bits=1),
    "1-bit activations": NpuConfig(lanes=8, columns=8, weight_digit_bits=1, activation_bits=1),
    "binary weights": NpuConfig(
        lanes=8, columns=16, weight_digit_bits=1, activation_bits=4, binary_weights=True
    ),
    "2-bit digits": NpuConfig(lanes=8, columns=16, weight_digit_bits=2),
    "4-bit digits": NpuConfig(lanes=8, columns=8, weight_digit_bits=4, accumulator_bits=17),
    "8-bit digits": NpuConfig(
        pixels=1, lanes=8, columns=8, weight_digit_bits=8, activation_bits=8, accumulator_bits=26
    ),
    "1:4": NpuConfig(lanes=8, columns=8, weight_digit_bits=1, sparsity="1:4"),
    "2:4, memory port": NpuConfig(lanes=8, columns=8, sparsity="2:4", memory_port_bits=32),
    "4:8": NpuConfig(pixels=1, lanes=16, columns=16, weight_digit_bits=4, sparsity="4:8"),
    "column reuse": NpuConfig(lanes=8, columns=8, weight_digit_bits=4, depthwise_taps=3),
    "dsp, tiles in memory": NpuConfig(
        pixels=1, lanes=8, columns=8, weight_digit_bits=4, multiplier="dsp",
        memory_port_bits=64, memory_tiles=True,
    ),
    "dsp2": NpuConfig(
        pixels=1, lanes=8, columns=8, weight_digit_bits=8, activation_bits=8, accumulator_bits=26,
        multiplier="dsp2",
    ),
    "dsp4": NpuConfig(lanes=8, columns=8, weight_digit_bits=4, multiplier="dsp4"),
    "smallest": NpuConfig(
        pixels=1, lanes=2, columns=2, post_units=1, activation_bits=3, weight_depth=16,
        channel_depth=4, result_depth=2, activation_depth=16, program_depth=32,
    ),
}  # fmt: skip
