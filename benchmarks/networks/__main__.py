"""Measure MAC utilisation and images per second of known networks on the best array of a size.

``python -m benchmarks.networks [NETWORK ...] [--macs 512] [--weight-bits 4] [--activation-bits 4]
[--depthwise-taps 3] [--stream] [--layers] [--json]``

Each network is compiled for every array shape of about ``--macs`` products per cycle (digits as
wide as the weights, so one pass), with memories as deep as needed; the shape of the highest
utilisation is shown. Nothing is trained or simulated: cycles are the compiler's, which simulation
confirms in every build. Columns:

- pixels, lanes, columns, post_units, macs_per_cycle: the NPU
- network_macs: products of one image
- cycles_per_image: of a run of one image, with LOAD and EMIT
- cycles_between_images: from image to image of many back to back, where the next LOAD overlaps
- images_per_second: at 100 MHz, by the first of the two, or with ``--stream`` by the second
- utilisation: network_macs / (these cycles x macs_per_cycle)

``--layers`` adds the cycles and the utilisation of every instruction, as text.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence

from benchmarks.networks.zoo import NETWORKS
from codesign.compiler import Plan, minimal_depths, plan
from codesign.report.layers import layer_rows
from codesign.results import InfeasibleError
from models.integer.lower import shape_only
from models.integer.network import IntegerNetwork
from models.quantisation.plan import Quantisation, QuantSpec
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import DEPTH_RANGES, DEPTHWISE_TAPS, DIGIT_BITS, LEAST_REUSE_LANES

CLOCK_MHZ = 100.0
PIXELS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16)
LANES = (2, 4, 8, 16, 32)
COLUMN_WORDS = (1, 2, 4)
POST_UNITS = (1, 2, 4, 8, 16)
MOST_DEPTH = DEPTH_RANGES["activation_depth"][1]
TOLERANCE = 0.3
"""Largest relative difference of an array's products per cycle from those asked for."""


def shapes(
    macs: int, weight_bits: int, activation_bits: int, depthwise_taps: int = 1
) -> Iterator[NpuConfig]:
    """Yield every array of about ``macs`` products per cycle that takes a weight in one pass."""
    digit = min(bits for bits in DIGIT_BITS if bits >= weight_bits)
    for pixels, lanes, words, units in itertools.product(PIXELS, LANES, COLUMN_WORDS, POST_UNITS):
        products = pixels * lanes * lanes * words
        if lanes * words > 128 or lanes % units or abs(products / macs - 1) > TOLERANCE:
            continue
        if depthwise_taps > 1 and lanes < LEAST_REUSE_LANES:
            continue
        yield NpuConfig(
            pixels=pixels,
            lanes=lanes,
            columns=lanes * words,
            weight_digit_bits=digit,
            activation_bits=activation_bits,
            accumulator_bits=32,
            post_units=units,
            depthwise_taps=depthwise_taps,
            binary_weights=weight_bits == 1,
        )


def cycles(found: Plan, stream: bool) -> int:
    """Return the cycles of one image by itself, or (``stream``) from image to image of many.

    Without room for the next image in activation memory the two are equal.
    """
    between = found.interval_cycles if stream else None
    return found.cycles if between is None else between


def utilisation(found: Plan, stream: bool) -> float:
    """Return the fraction of the array's products in these cycles that the network needs."""
    return found.utilisation * found.cycles / cycles(found, stream)


def best_plan(
    network: IntegerNetwork, configs: Sequence[NpuConfig], stream: bool = False
) -> Plan | None:
    """Return the plan of the highest utilisation, or None if the network fits no configuration."""
    plans = []
    for config in configs:
        try:
            sized = dataclasses.replace(config, **minimal_depths(network, config))
            plans.append(plan(network, sized))
            depth = 2 * sized.activation_depth  # makes room for the next image
            if stream and plans[-1].interval_cycles is None and depth <= MOST_DEPTH:
                plans.append(plan(network, dataclasses.replace(sized, activation_depth=depth)))
        except InfeasibleError:
            continue
    return max(plans, key=lambda found: utilisation(found, stream), default=None)


def row(name: str, found: Plan, stream: bool) -> dict[str, object]:
    config = found.schedule.config
    return {
        "network": name,
        "pixels": config.pixels,
        "lanes": config.lanes,
        "columns": config.columns,
        "post_units": config.post_units,
        "macs_per_cycle": config.macs,
        "network_macs": found.macs,
        "cycles_per_image": found.cycles,
        "cycles_between_images": cycles(found, stream=True),
        "images_per_second": round(CLOCK_MHZ * 1e6 / cycles(found, stream), 1),
        "utilisation": round(utilisation(found, stream), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--macs", type=int, default=512, help="products per cycle, about")
    parser.add_argument("--weight-bits", type=int, default=4)
    parser.add_argument("--activation-bits", type=int, default=4)
    parser.add_argument("--depthwise-taps", type=int, default=1, choices=DEPTHWISE_TAPS)
    parser.add_argument("--stream", action="store_true", help="images back to back")
    parser.add_argument("--layers", action="store_true", help="cycles of each instruction, too")
    parser.add_argument("--json", action="store_true", help="one object a row")
    options = parser.parse_args()
    unknown = sorted(set(options.networks) - set(NETWORKS))
    if unknown:
        parser.error(f"NETWORK must be one of {', '.join(NETWORKS)}, not {', '.join(unknown)}")
    configs = list(
        shapes(options.macs, options.weight_bits, options.activation_bits, options.depthwise_taps)
    )
    bits = QuantSpec(options.weight_bits, options.activation_bits)
    for name in options.networks or NETWORKS:
        quantisation = Quantisation(options.activation_bits, bits)
        network = shape_only(NETWORKS[name](), quantisation, NpuConfig.scale_bits)
        found = best_plan(network, configs, options.stream)
        if found is None:
            print(json.dumps({"network": name}) if options.json else f"{name}: fits no array")
            continue
        shown = row(name, found, options.stream)
        if options.json:
            print(json.dumps(shown))
            continue
        print(
            "{network:18} {pixels:2} x {lanes:2} x {columns:3} U{post_units:<2} "
            "{cycles_per_image:10,} cycles {cycles_between_images:10,} between images "
            "{images_per_second:10,} images/s "
            "{utilisation:7.1%} busy".format(**shown)
        )
        if options.layers:
            for layer in layer_rows(found):
                share = layer.macs * layer.passes / layer.cycles / found.schedule.config.macs
                print(f"    {layer.name:24} {layer.op:12} {layer.cycles:9,} {share:7.1%}")


if __name__ == "__main__":
    main()
