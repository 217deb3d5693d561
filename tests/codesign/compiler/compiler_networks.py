"""Integer networks with random weights, layer by layer, and their run through compiler and twin."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.untrained import random_mask
from codesign.compiler import CompiledNetwork
from models import arithmetic
from models.integer import reference
from models.integer.network import (
    ConcatLayer,
    IntegerNetwork,
    MacLayer,
    PoolWindow,
    Source,
    TensorSpec,
)
from models.quantisation.sparsity import PATTERNS, Sparsity
from rtl_gen.isa.opcodes import ErrorCode, Opcode
from rtl_gen.twin.model import Twin, TwinResult
from rtl_gen.twin.transfers import Beat
from sim import layout
from tests.rtl_gen.device import Device

Pair = tuple[int, int]
SCALE_BITS = 8
ANY_SCALE_SHARE = 1 / 8
"""Share of channels whose scale is any that hardware can hold, sensible or not."""
ONE, NONE = (1, 1), (0, 0)


class NetworkBuilder:
    """Adds layers with random weights; every method returns the new tensor's name."""

    def __init__(
        self,
        pick: random.Random,
        shape: tuple[int, int, int],
        bits: int,
        signed: bool = False,
        scale_bits: int = SCALE_BITS,
    ) -> None:
        self.scale_bits = scale_bits
        self._numbers = np.random.default_rng(pick.getrandbits(32))
        self._layers: list[MacLayer | ConcatLayer] = []
        self.tensors = {"image": TensorSpec("image", shape, bits, signed, 1.0)}

    def build(self) -> IntegerNetwork:
        return IntegerNetwork("net", "image", tuple(self._layers), self.tensors, self.scale_bits)

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
        sparsity: Sparsity | None = None,
    ) -> str:
        name = f"t{len(self.tensors)}"
        specs = [self.tensors[source] for source in sources]
        high = arithmetic.weight_range(weight_bits)[1]
        shape = (channels, specs[0].shape[0] // groups, *kernel)
        weights = [
            np.full(shape, high) if diagonal else self._weights(weight_bits, shape) for _ in sources
        ]
        if sparsity:
            weights = [weight * random_mask(self._numbers, shape, sparsity) for weight in weights]
        rows, cols = (
            (specs[0].shape[1 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1)
        )
        if pool:
            rows = (rows - pool.kernel[0]) // pool.stride[0] + 1
            cols = (cols - pool.kernel[1]) // pool.stride[1] + 1
        top = max((1 << spec.bits) - 1 for spec in specs)
        spread = max(4, int(high * top * np.sqrt(weights[0][0].size * len(weights))))
        largest = (1 << self.scale_bits - 1) - 1  # beyond it no shift is left
        scales = [
            arithmetic.nearest_scale(min(scale * (1 << bits) / spread, largest), self.scale_bits)
            for scale in self._numbers.uniform(0.2, 1.0, channels).tolist()
        ]
        for channel in np.flatnonzero(self._numbers.random(channels) < ANY_SCALE_SHARE):
            scales[channel] = (
                int(self._numbers.integers(1 << self.scale_bits)),
                int(self._numbers.integers(1, arithmetic.MAX_SHIFT + 1)),
            )
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
                requant_multiplier=np.array([multiplier for multiplier, _ in scales]),
                requant_shift=np.array([shift for _, shift in scales]),
                pool=pool,
                raw=raw,
                sparsity=sparsity,
            )
        )
        self.tensors[name] = TensorSpec(
            name, (channels, rows, cols), 32 if raw else bits, signed or raw, 1.0
        )
        return name

    def _weights(self, bits: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
        low, high = arithmetic.weight_range(bits)
        if bits == 1:
            return self._numbers.choice([low, high], shape)
        return self._numbers.integers(low, high + 1, shape)

    def any_sparsity(self) -> Sparsity | None:
        """Of half the layers none. From the source of the weights, so that the layers drawn are
        those that they would be without."""
        number = int(self._numbers.integers(2 * len(PATTERNS)))
        return Sparsity(*PATTERNS[number]) if number < len(PATTERNS) else None

    def linear(self, source: str, channels: int, *, raw: bool = True, **numbers: Any) -> str:
        kernel = self.tensors[source].shape[1:]
        return self.mac([source], channels, kernel, op="linear", raw=raw, **numbers)

    def concat(self, sources: Sequence[str]) -> str:
        name = f"t{len(self.tensors)}"
        first = self.tensors[sources[0]]
        channels = sum(self.tensors[source].shape[0] for source in sources)
        self._layers.append(ConcatLayer(f"layer_{name}", tuple(sources), name))
        self.tensors[name] = dataclasses.replace(
            first, name=name, shape=(channels, *first.shape[1:])
        )
        return name


def loaded_twin(compiled: CompiledNetwork, *, traced: bool = False) -> Twin:
    twin = Twin(compiled.config)
    program = compiled.traced if traced else compiled.program
    twin.load_program(program.words)
    twin.load_weights(compiled.weights)
    twin.load_channels(compiled.channels)
    twin.load_memory(compiled.memory)
    return twin


def input_beats(compiled: CompiledNetwork, codes: NDArray[np.uint8]) -> list[Beat]:
    """One image [C, H, W] as the beats of its LOADs."""
    packets = layout.packets(compiled.layouts[compiled.input].to_dict(), codes)
    return [
        (word, i == len(words) - 1)
        for words in (packet.tolist() for packet in packets)
        for i, word in enumerate(words)
    ]


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
    """Every tensor, the logits and the cycle logs, over ``images`` runs without reset; where there
    is room for it, also back to back in one run."""
    spec = network.tensors[network.input]
    codes = np.random.default_rng(seed).integers(0, 1 << spec.bits, (images, *spec.shape), np.uint8)
    expected = reference.run(network, codes)
    traced, normal = loaded_twin(compiled, traced=True), loaded_twin(compiled)
    logits = network.layers[-1].output
    for i, image in enumerate(codes):
        result = traced.run(input_beats(compiled, image))
        found = outputs(compiled, result)
        assert tuple(result.cycle_log) == compiled.traced.log
        check_outputs(network, compiled, found, {name: e[i] for name, e in expected.items()})
        result = normal.run(input_beats(compiled, image))
        np.testing.assert_array_equal(outputs(compiled, result)[logits], expected[logits][i])
        assert tuple(result.cycle_log) == compiled.program.log
    if compiled.stream:
        check_stream(compiled, codes, expected[logits])


def check_outputs(
    network: IntegerNetwork,
    compiled: CompiledNetwork,
    found: Mapping[str, NDArray[np.integer]],
    expected: Mapping[str, NDArray[np.integer]],
) -> None:
    """Every layer's output, or each of the bands that it comes in."""
    checked = set()
    for name, codes in found.items():
        place = compiled.layouts.get(name)
        whole = place.whole if place else None
        if place and whole and place.rows:
            wanted = expected[whole][:, slice(*place.rows)]
        else:
            whole, wanted = name, expected[name]
        np.testing.assert_array_equal(codes, wanted, name)
        checked.add(whole)
    assert checked == {layer.output for layer in network.mac_layers}


def check_stream(
    compiled: CompiledNetwork, codes: NDArray[np.uint8], expected: NDArray[np.int32]
) -> None:
    """The logits of images back to back, and what each of them adds to the cycles."""
    program = compiled.stream
    assert program
    assert program.interval_cycles
    twin = loaded_twin(compiled)
    twin.load_program(program.words)
    beats = [beat for image in codes for beat in input_beats(compiled, image)]
    result = twin.run(beats, images=len(codes))
    assert result.error is ErrorCode.NONE
    assert result.cycle_log[-1] == program.cycles + (len(codes) - 1) * program.interval_cycles
    data = np.array([value for value, _ in result.output_beats], np.uint32)
    for packet, logits in zip(np.split(data, len(codes)), expected, strict=True):
        found = layout.unpack_logits(compiled.logits.to_dict(), packet)
        np.testing.assert_array_equal(found, logits)


def check_on_the_rtl(
    network: IntegerNetwork, compiled: CompiledNetwork, seed: int, stall: float
) -> None:
    """A random image in Amaranth's simulator: every layer's output and instruction's cycles."""
    spec = network.tensors[network.input]
    codes = np.random.default_rng(seed).integers(0, 1 << spec.bits, (1, *spec.shape), np.uint8)
    beats = input_beats(compiled, codes[0])
    device = Device(compiled.config, stall=stall, seed=seed).run(
        compiled.traced.words,
        compiled.weights,
        compiled.channels,
        beats,
        instructions=len(compiled.traced.steps),
    )
    assert tuple(device.cycle_log) == compiled.traced.log
    twin = loaded_twin(compiled, traced=True).run(beats)
    found = outputs(compiled, dataclasses.replace(twin, output_beats=device.output_beats))
    expected = reference.run(network, codes)
    for layer in network.mac_layers:
        np.testing.assert_array_equal(found[layer.output], expected[layer.output][0])
