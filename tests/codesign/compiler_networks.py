"""Random integer networks and NPU configurations, and their run through compiler and twin."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.compiler import CompiledNetwork, accumulator_bits, minimal_depths
from models import arithmetic, reference
from models.integer import (
    ConcatLayer,
    IntegerNetwork,
    MacLayer,
    PoolWindow,
    Source,
    TensorSpec,
)
from rtl_gen.config import DIGIT_BITS, NpuConfig
from rtl_gen.isa import ErrorCode, Opcode
from rtl_gen.twin import Beat, Twin, TwinResult
from sim import layout

Pair = tuple[int, int]
SCALE_BITS = 8
ONE, NONE = (1, 1), (0, 0)


class NetworkBuilder:
    """Adds layers with random weights; every method returns the new tensor's name."""

    def __init__(
        self, pick: random.Random, shape: tuple[int, int, int], bits: int, signed: bool = False
    ) -> None:
        self._numbers = np.random.default_rng(pick.getrandbits(32))
        self._layers: list[MacLayer | ConcatLayer] = []
        self.tensors = {"image": TensorSpec("image", shape, bits, signed, 1.0)}

    def build(self) -> IntegerNetwork:
        return IntegerNetwork("net", "image", tuple(self._layers), self.tensors, SCALE_BITS)

    def mac(
        self,
        sources: Sequence[str],
        channels: int,
        kernel: Pair = ONE,
        *,
        op: str = "conv2d",
        stride: Pair = ONE,
        padding: Pair = NONE,
        groups: int = 1,
        weight_bits: int = 4,
        bits: int = 4,
        signed: bool = False,
        pool: PoolWindow | None = None,
        diagonal: bool = False,
        raw: bool = False,
    ) -> str:
        name = f"t{len(self.tensors)}"
        specs = [self.tensors[source] for source in sources]
        low, high = arithmetic.weight_range(weight_bits)
        shape = (channels, specs[0].shape[0] // groups, *kernel)
        weights = [
            np.full(shape, high) if diagonal else self._numbers.integers(low, high + 1, shape)
            for _ in sources
        ]
        rows, cols = (
            (specs[0].shape[1 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1)
        )
        if pool:
            rows = (rows - pool.kernel[0]) // pool.stride[0] + 1
            cols = (cols - pool.kernel[1]) // pool.stride[1] + 1
        top = max((1 << spec.bits) - 1 for spec in specs)
        spread = max(4, int(high * top * np.sqrt(weights[0][0].size * len(weights))))
        scales = [
            arithmetic.nearest_scale(float(scale) * (1 << bits) / spread, SCALE_BITS)
            for scale in self._numbers.uniform(0.2, 1.0, channels)
        ]
        self._layers.append(
            MacLayer(
                name=f"layer_{name}",
                op=op,
                sources=tuple(
                    Source(source, weight) for source, weight in zip(sources, weights, strict=True)
                ),
                output=name,
                groups=groups,
                stride=stride,
                padding=padding,
                pad_code=0 if op == "max_pool" else specs[0].zero_point,
                weight_bits=weight_bits,
                bias=self._numbers.integers(-spread // 2, spread // 2, channels),
                multiplier=np.array([multiplier for multiplier, _ in scales]),
                shift=np.array([shift for _, shift in scales]),
                pool=pool,
                raw=raw,
            )
        )
        self.tensors[name] = TensorSpec(
            name, (channels, rows, cols), 32 if raw else bits, signed or raw, 1.0
        )
        return name

    def linear(self, source: str, channels: int, *, raw: bool = True, weight_bits: int = 4) -> str:
        kernel = self.tensors[source].shape[1:]
        return self.mac([source], channels, kernel, op="linear", raw=raw, weight_bits=weight_bits)

    def concat(self, sources: Sequence[str]) -> str:
        name = f"t{len(self.tensors)}"
        first = self.tensors[sources[0]]
        channels = sum(self.tensors[source].shape[0] for source in sources)
        self._layers.append(ConcatLayer(f"layer_{name}", tuple(sources), name))
        self.tensors[name] = dataclasses.replace(
            first, name=name, shape=(channels, *first.shape[1:])
        )
        return name


def random_network(pick: random.Random, bits: int) -> IntegerNetwork:
    """A network of up to five steps; codes of at most ``bits`` bits."""
    shape = (pick.randint(1, 5), pick.randint(1, 11), pick.randint(1, 11))
    net = NetworkBuilder(pick, shape, pick.randint(1, bits), pick.random() < 0.2)
    last = "image"
    for _ in range(pick.randint(0, 5)):
        step = pick.choice((_conv, _conv, _depthwise, _max_pool, _average, _residual, _branches))
        last = step(net, pick, last, bits)
    net.linear(last, pick.randint(1, 12), weight_bits=pick.randint(1, 8))
    return net.build()


def _window(pick: random.Random, shape: tuple[int, int, int]) -> tuple[Pair, Pair, Pair]:
    """Kernel, stride and padding that fit the map."""
    pairs = []
    for size in shape[1:]:
        kernel = pick.randint(1, 5)
        padding = pick.randint(0, kernel - 1)
        kernel = min(kernel, size + 2 * padding)
        pairs.append((kernel, pick.randint(1, 3), min(padding, kernel - 1)))
    rows, cols = pairs
    return (rows[0], cols[0]), (rows[1], cols[1]), (rows[2], cols[2])


def _numbers(pick: random.Random, bits: int) -> dict[str, int]:
    return {"bits": pick.randint(1, bits), "weight_bits": pick.randint(1, 8)}


def _conv(net: NetworkBuilder, pick: random.Random, source: str, bits: int) -> str:
    shape = net.tensors[source].shape
    kernel, stride, padding = _window(pick, shape)
    groups = pick.choice([g for g in range(1, shape[0] + 1) if shape[0] % g == 0])
    pool = None
    rows, cols = ((shape[1 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1))
    if pick.random() < 0.4:
        window = (pick.randint(1, min(3, rows)), pick.randint(1, min(3, cols)))
        pool = PoolWindow(window, (pick.randint(1, 3), pick.randint(1, 3)))
    return net.mac(
        [source],
        groups * pick.randint(1, max(1, 20 // groups)),
        kernel,
        stride=stride,
        padding=padding,
        groups=groups,
        signed=pick.random() < 0.4,
        pool=pool,
        **_numbers(pick, bits),
    )


def _depthwise(net: NetworkBuilder, pick: random.Random, source: str, bits: int) -> str:
    shape = net.tensors[source].shape
    kernel, stride, padding = _window(pick, shape)
    numbers = _numbers(pick, bits)
    channels = shape[0] * pick.randint(1, 2)
    return net.mac(
        [source],
        channels,
        kernel,
        stride=stride,
        padding=padding,
        groups=shape[0],
        signed=pick.random() < 0.4,
        **numbers,
    )


def _max_pool(net: NetworkBuilder, pick: random.Random, source: str, bits: int) -> str:
    spec = net.tensors[source]
    kernel, stride, padding = _window(pick, spec.shape)
    padding = (min(padding[0], kernel[0] // 2), min(padding[1], kernel[1] // 2))
    _, rows, cols = spec.shape
    kernel = (min(kernel[0], rows + 2 * padding[0]), min(kernel[1], cols + 2 * padding[1]))
    return net.mac(
        [source],
        spec.shape[0],
        op="max_pool",
        padding=padding,
        groups=spec.shape[0],
        weight_bits=1,
        diagonal=True,
        bits=pick.randint(1, bits),
        signed=spec.signed,
        pool=PoolWindow(kernel, stride),
    )


def _average(net: NetworkBuilder, pick: random.Random, source: str, bits: int) -> str:
    shape = net.tensors[source].shape
    kernel = shape[1:] if pick.random() < 0.3 else (min(2, shape[1]), min(2, shape[2]))
    return net.mac(
        [source],
        shape[0],
        kernel,
        op="avg_pool",
        stride=kernel,
        groups=shape[0],
        weight_bits=2,
        diagonal=True,
        bits=pick.randint(1, bits),
    )


def _residual(net: NetworkBuilder, pick: random.Random, source: str, bits: int) -> str:
    channels = net.tensors[source].shape[0]
    numbers = _numbers(pick, bits)
    other = net.mac([source], channels, (3, 3), padding=ONE, signed=True, **numbers)
    if pick.random() < 0.2:
        other = source
    pair = [source, other]
    pick.shuffle(pair)
    return net.mac(pair, channels, op="add", groups=channels, **_numbers(pick, bits))


def _branches(net: NetworkBuilder, pick: random.Random, source: str, bits: int) -> str:
    numbers = _numbers(pick, bits)
    sizes = [pick.randint(1, 9) for _ in range(pick.randint(2, 3))]
    parts = [net.mac([source], size, (k, k), padding=(k // 2, k // 2), **numbers)
             for size, k in zip(sizes, (1, 3, 5), strict=False)]  # fmt: skip
    return net.concat(parts)


def random_config(pick: random.Random, network: IntegerNetwork, bits: int) -> NpuConfig:
    """An NPU whose memories and accumulators are as small as the network allows."""
    lanes = pick.choice((2, 3, 4, 8))
    post_units = pick.choice([u for u in range(1, lanes + 1) if lanes % u == 0])
    config = NpuConfig(
        pixels=pick.choice((1, 2, 3, 4, 5, 16)),
        lanes=lanes,
        columns=lanes * pick.randint(1, 3),
        weight_digit_bits=pick.choice(DIGIT_BITS),
        activation_bits=pick.randint(bits, 8),
        accumulator_bits=max(10, accumulator_bits(network)),
        scale_bits=SCALE_BITS,
        post_units=post_units,
    )
    return dataclasses.replace(config, **minimal_depths(network, config))


def loaded_twin(compiled: CompiledNetwork, *, traced: bool = False) -> Twin:
    twin = Twin(compiled.config)
    program = compiled.traced if traced else compiled.program
    twin.load_program(program.words)
    twin.load_weights(compiled.weights)
    twin.load_channels(compiled.channels)
    return twin


def input_beats(compiled: CompiledNetwork, codes: NDArray[np.uint8]) -> list[Beat]:
    """One image [C, H, W] as the beats of a LOAD."""
    words = layout.pack(compiled.layouts[compiled.input].to_dict(), codes).tolist()
    return [(word, i == len(words) - 1) for i, word in enumerate(words)]


def outputs(compiled: CompiledNetwork, result: TwinResult) -> dict[str, NDArray[np.integer]]:
    """The tensors of a traced run (or the logits of a normal one) by name."""
    assert result.error is ErrorCode.NONE
    beats = np.array([value for value, _ in result.output_beats], np.uint32)
    lasts = [i + 1 for i, (_, last) in enumerate(result.output_beats) if last]
    packets = iter(np.split(beats, lasts[:-1]))
    found: dict[str, NDArray[np.integer]] = {}
    steps = compiled.traced.steps if len(lasts) > 1 else compiled.program.steps
    for step in steps:
        if step.instruction.opcode is Opcode.STORE:
            found[step.tensor] = layout.unpack(
                compiled.layouts[step.tensor].to_dict(), next(packets)
            )
        elif step.instruction.opcode is Opcode.EMIT:
            found[step.tensor] = layout.unpack_logits(compiled.logits.to_dict(), next(packets))
    return found


def check_against_reference(
    network: IntegerNetwork, compiled: CompiledNetwork, images: int = 1, seed: int = 0
) -> None:
    """Every tensor, the logits and the cycle logs, over ``images`` runs without reset."""
    spec = network.tensors[network.input]
    codes = np.random.default_rng(seed).integers(0, 1 << spec.bits, (images, *spec.shape), np.uint8)
    expected = reference.run(network, codes)
    traced, normal = loaded_twin(compiled, traced=True), loaded_twin(compiled)
    logits = network.layers[-1].output
    for i, image in enumerate(codes):
        result = traced.run(input_beats(compiled, image))
        found = outputs(compiled, result)
        assert tuple(result.cycle_log) == compiled.traced.log
        for layer in network.mac_layers:
            np.testing.assert_array_equal(found[layer.output], expected[layer.output][i])
        result = normal.run(input_beats(compiled, image))
        np.testing.assert_array_equal(outputs(compiled, result)[logits], expected[logits][i])
        assert tuple(result.cycle_log) == compiled.program.log
