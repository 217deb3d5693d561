"""Differential checks of a compiled network: behavioural model and RTL against the reference.

The reference is models.integer.reference, which knows nothing of hardware. Every layer's codes must
be equal, and every instruction's cycles those that the compiler predicted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from codesign.compiler import CompiledNetwork
from models.integer import reference
from models.integer.network import IntegerNetwork
from rtl_gen.isa.opcodes import ErrorCode, Opcode
from rtl_gen.twin.model import Twin, TwinResult
from rtl_gen.twin.transfers import Beat
from sim import layout
from tests.rtl_gen.device import Device


def loaded_twin(compiled: CompiledNetwork, *, traced: bool = False) -> Twin:
    """Return the behavioural model with program, weights and channel table in its memories.

    The ``traced`` program stores every layer's output on the stream.
    """
    twin = Twin(compiled.config)
    program = compiled.traced if traced else compiled.program
    twin.load_program(program.words)
    twin.load_weights(compiled.weights)
    twin.load_channels(compiled.channels)
    twin.load_memory(compiled.memory)
    return twin


def random_codes(network: IntegerNetwork, images: int, seed: int) -> NDArray[np.uint8]:
    """Return random input codes, shape (images, channels, rows, columns)."""
    spec = network.tensors[network.input]
    return np.random.default_rng(seed).integers(0, 1 << spec.bits, (images, *spec.shape), np.uint8)


def input_beats(compiled: CompiledNetwork, codes: NDArray[np.uint8]) -> list[Beat]:
    """Return one image, shape (channels, rows, columns), as the stream beats of its LOADs."""
    packets = layout.packets(compiled.layouts[compiled.input].to_dict(), codes)
    return [
        (word, i == len(words) - 1)
        for words in (packet.tolist() for packet in packets)
        for i, word in enumerate(words)
    ]


def output_tensors(compiled: CompiledNetwork, result: TwinResult) -> dict[str, NDArray[np.integer]]:
    """Return what a run put out, by tensor name: of a traced run every tensor, else the logits."""
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
    """Run random images on the behavioural model and compare every tensor, the logits and the
    cycle logs.

    The images run one after the other without a reset, by the traced program and by the normal
    one; by the stream program too, back to back in one run, where the compiler made one.
    """
    codes = random_codes(network, images, seed)
    expected = reference.run(network, codes)
    traced, normal = loaded_twin(compiled, traced=True), loaded_twin(compiled)
    logits = network.layers[-1].output
    for i, image in enumerate(codes):
        result = traced.run(input_beats(compiled, image))
        found = output_tensors(compiled, result)
        assert tuple(result.cycle_log) == compiled.traced.log
        check_tensors(network, compiled, found, {name: e[i] for name, e in expected.items()})
        result = normal.run(input_beats(compiled, image))
        np.testing.assert_array_equal(output_tensors(compiled, result)[logits], expected[logits][i])
        assert tuple(result.cycle_log) == compiled.program.log
    if compiled.stream:
        check_stream(compiled, codes, expected[logits])


def check_tensors(
    network: IntegerNetwork,
    compiled: CompiledNetwork,
    found: Mapping[str, NDArray[np.integer]],
    expected: Mapping[str, NDArray[np.integer]],
) -> None:
    """Compare every layer's output with the reference's, or each band of rows that it comes in."""
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
    """Run the images back to back in one run; compare logits and the cycles that each one adds."""
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
    """Run a random image through the RTL in Amaranth's simulator; compare every layer's output and
    every instruction's cycles. ``stall``: share of the cycles in which a stream is held back."""
    codes = random_codes(network, 1, seed)
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
    found = output_tensors(compiled, dataclasses.replace(twin, output_beats=device.output_beats))
    expected = reference.run(network, codes)
    assert found.keys() == {layer.output for layer in network.mac_layers}
    for layer in network.mac_layers:
        np.testing.assert_array_equal(found[layer.output], expected[layer.output][0])
