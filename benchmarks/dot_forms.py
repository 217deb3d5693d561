"""Measure the LUTs of alternative hardware forms of a dot product, the cell of the MAC array.

``python -m benchmarks.dot_forms [--lanes 16 ...] [--bits 4x4 ...] [--json]``

Each form sums ``lanes`` unsigned activations times digits in two's complement, registered after
each level, and is synthesised by itself (``synth_xilinx -family xc7 -nodsp``), in some seconds.
What the cells of a row or column share is an input: sums of lane pairs, recoded digits. The sign of
1-bit digits is handled elsewhere, except in "products". Forms:

- chained: carry chains over bit planes, as rtl_gen.blocks.dot_product makes them
- gated: AND gates and an adder tree, bit plane by bit plane
- products: whole products and an adder tree
- booth: radix-4 Booth recoding
- looked up: LUTs with the sum of several lanes of a bit plane, and an adder tree
- compressed: counters and compressors (a Wallace tree in LUTs)

Columns: activation_bits, digit_bits, lanes, luts_per_lane, ffs_per_lane (both divided by lanes).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Value, signed
from amaranth.back import verilog
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from codesign.fpga import synthesis
from rtl_gen.blocks.dot_product import DotProductSpec, combine, register, tree

BITS = ((8, 8), (4, 4), (4, 2), (2, 2), (4, 1), (2, 1), (1, 1))
LANES = (8, 16, 32)
LUT_INPUTS = 6
Plane = Callable[[Module, Sequence[Value], Sequence[Value], str], Value]
"""Function that adds to a module the registered sum of activations times one bit of each digit."""


def _table(inputs: Sequence[Value], bits: int, function: Callable[[int], int]) -> Value:
    """Return ``bits`` bits of a function of at most LUT_INPUTS input bits, a LUT for each."""
    index = Cat(*inputs)
    return Array(Const(function(k), bits) for k in range(1 << len(index)))[index]


def gated(m: Module, activations: Sequence[Value], bits: Sequence[Value], name: str) -> Value:
    """Sum a bit plane by gates and a tree of adders."""
    return tree(m, [Mux(bit, a, 0) for a, bit in zip(activations, bits, strict=True)], name)


def looked_up(m: Module, activations: Sequence[Value], bits: Sequence[Value], name: str) -> Value:
    """Sum a bit plane by LUTs that hold sums of several lanes, and a tree of adders."""
    size = len(activations[0])
    held = max(LUT_INPUTS // (size + 1), 1)

    def total(index: int, count: int) -> int:
        lanes = [index >> k * (size + 1) for k in range(count)]
        return sum((lane >> 1) % (1 << size) * (lane & 1) for lane in lanes)

    terms: list[Value] = []
    for first in range(0, len(activations), held):
        lanes = range(first, min(first + held, len(activations)))
        inputs = [Cat(bits[n], activations[n]) for n in lanes]
        largest = len(lanes) * ((1 << size) - 1)
        count = len(lanes)
        terms.append(
            register(
                m,
                _table(inputs, largest.bit_length(), lambda k, n=count: total(k, n)),
                f"{name}_table{first}",
            )
        )
    return tree(m, terms, name)


def compressed(m: Module, activations: Sequence[Value], bits: Sequence[Value], name: str) -> Value:
    """Sum a bit plane by counters and compressors.

    Two LUTs count three 1-bit products; compressors of six bits to three, or three to two, follow
    until one adder is left.
    """
    heap: dict[int, list[Value]] = {}

    def count(inputs: Sequence[Value], column: int, outputs: int, ones: Callable[[int], int],
              into: dict[int, list[Value]]) -> None:  # fmt: skip
        number = sum(map(len, into.values()))
        found = register(m, _table(inputs, outputs, ones), f"{name}_count{column}_{number}")
        for k in range(outputs):
            into.setdefault(column + k, []).append(found[k])

    for column in range(len(activations[0])):
        for first in range(0, len(activations), 3):
            lanes = range(first, min(first + 3, len(activations)))
            inputs = [Cat(activations[n][column], bits[n]) for n in lanes]
            outputs = len(lanes).bit_length()
            count(inputs, column, outputs, lambda k: (k & k >> 1 & 0b010101).bit_count(), heap)
    level = 0
    while max(map(len, heap.values())) > 2:
        below, heap, level = heap, {}, level + 1
        scope, name = name, f"{name}_{level}"
        for column, left in below.items():
            while len(left) > 2:
                taken = 6 if len(left) > 3 else 3
                group, left = left[:taken], left[taken:]
                count(group, column, len(group).bit_length(), int.bit_count, heap)
            for k, bit in enumerate(left):
                heap.setdefault(column, []).append(register(m, bit, f"{name}_pass{column}_{k}"))
        name = scope
    rows = [
        Cat(*(heap.get(c, [])[k] if len(heap.get(c, [])) > k else Const(0, 1)
              for c in range(max(heap) + 1)))
        for k in range(2)
    ]  # fmt: skip
    return register(m, rows[0] + rows[1], f"{name}_sum")


class Planes(wiring.Component):
    """A form that sums each bit plane of the digits; the sums are combined as in the array."""

    def __init__(self, spec: DotProductSpec, plane: Plane) -> None:
        self.spec, self.plane = spec, plane
        super().__init__(
            {
                "activations": In(spec.lanes * spec.activation_bits),
                "digits": In(spec.lanes * spec.digit_bits),
                **({} if spec.unsigned else {"digit_signed": In(1)}),
                "result": Out(signed(spec.result_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m, spec = Module(), self.spec
        lanes = range(spec.lanes)
        activations = [self.activations.word_select(n, spec.activation_bits) for n in lanes]
        digits = [self.digits.word_select(n, spec.digit_bits) for n in lanes]
        sums = [
            self.plane(m, activations, [digit[j] for digit in digits], f"plane{j}")
            for j in range(spec.digit_bits)
        ]
        sign = None if spec.unsigned else self.digit_signed
        m.d.comb += self.result.eq(combine(m, sums, sign))
        return m


class Booth(wiring.Component):
    """A form with radix-4 Booth digits -2..2, recoded outside (``one``, ``two``, ``negative``).

    A negative digit adds the inverted bits; the missing 1 is left to the bias. A register stage
    adds two terms in a carry chain: selection and addition take six LUT inputs a bit.
    """

    def __init__(self, spec: DotProductSpec) -> None:
        self.spec, self.terms = spec, spec.lanes * spec.digit_bits // 2
        super().__init__(
            {
                "activations": In(spec.lanes * spec.activation_bits),
                **{name: In(self.terms) for name in ("one", "two", "negative")},
                "result": Out(signed(spec.result_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m, spec, size = Module(), self.spec, self.spec.activation_bits
        per_digit = []
        for j in range(spec.digit_bits // 2):
            sums: list[Value] = []
            for first in range(0, spec.lanes, 4):
                total: Value = Const(0, 1)
                for half in range(first, min(first + 4, spec.lanes), 2):
                    for n in range(half, min(half + 2, spec.lanes)):
                        term = n * spec.digit_bits // 2 + j
                        a = Cat(self.activations.word_select(n, size), Const(0, 2))
                        chosen = Mux(self.one[term], a, Mux(self.two[term], a << 1, 0))[: size + 2]
                        flipped = (chosen ^ self.negative[term].replicate(size + 2)).as_signed()
                        total = flipped if n == first else total + flipped
                    total = register(m, total, f"digit{j}_lane{half}")
                sums.append(total)
            per_digit.append(tree(m, sums, f"digit{j}") << 2 * j)
        m.d.comb += self.result.eq(tree(m, per_digit, "digits"))
        return m


def form(name: str, spec: DotProductSpec) -> wiring.Component | None:
    """Return the component of that form, or None where the form makes no sense."""
    if name == "chained":
        return spec.create()
    if name == "products":
        return DotProductSpec(spec.lanes, spec.activation_bits, spec.digit_bits, "dsp").create()
    if name == "booth":
        return Booth(spec) if spec.digit_bits > 1 else None
    return Planes(spec, {"gated": gated, "looked up": looked_up, "compressed": compressed}[name])


FORMS = ("chained", "gated", "products", "booth", "looked up", "compressed")


def measure(name: str, spec: DotProductSpec) -> dict[str, Any] | None:
    """Return the row of one form, or None where it makes no sense. Raises YosysError."""
    block = form(name, spec)
    if block is None:
        return None
    text = verilog.convert(block, name="npu", emit_src=False)
    found = synthesis.synthesise({"npu.v": text})
    luts, ffs = found.figures.luts or 0.0, found.figures.ffs or 0.0
    return {
        "form": name,
        "activation_bits": spec.activation_bits,
        "digit_bits": spec.digit_bits,
        "lanes": spec.lanes,
        "luts_per_lane": round(luts / spec.lanes, 2),
        "ffs_per_lane": round(ffs / spec.lanes, 2),
        "tool": found.tool_version,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lanes", type=int, nargs="+", default=LANES)
    parser.add_argument(
        "--bits", nargs="+", default=[f"{a}x{d}" for a, d in BITS], metavar="AxD",
        help="activation bits x digit bits",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one object a row")
    options = parser.parse_args(arguments)
    for bits in options.bits:
        activation, digit = map(int, bits.split("x"))
        for lanes in options.lanes:
            for name in FORMS:
                row = measure(name, DotProductSpec(lanes, activation, digit))
                if row and options.json:
                    print(json.dumps(row), flush=True)
                elif row:
                    print(
                        f"{bits:5} {lanes:3} lanes  {name:10} {row['luts_per_lane']:7} LUTs "
                        f"{row['ffs_per_lane']:7} FFs a lane",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
