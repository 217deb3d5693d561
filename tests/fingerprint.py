"""Print fingerprints of what generator and compiler emit, to compare two checkouts.

    python -m tests.fingerprint > before.txt    # in one checkout
    python -m tests.fingerprint > after.txt     # in the other; equal files: nothing emitted differs

One line for each of 49 NPU configurations (the hash that CONFIG_HASH carries, and SHA-256 of the
Verilog, file names and comments included) and one for each of 14 random networks compiled for
random NPUs (programs, memory images and program.json). Nothing is simulated; takes minutes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator

from codesign.cost.characterization.sampling import sample
from rtl_gen.config import NpuConfig
from rtl_gen.emit import verilog
from tests.sweep.cases import draw

MAX_LUTS = 30_000.0
CONFIGS = 48
"""NPU configurations sampled over all parameters, besides the default one."""
SEEDS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 20, 31, 135)


def digest(texts: Iterable[str | bytes]) -> str:
    """Return the SHA-256, in hexadecimal, of texts in their order; their boundaries count, too."""
    total = hashlib.sha256()
    for text in texts:
        data = text.encode() if isinstance(text, str) else text
        total.update(hashlib.sha256(data).digest())
    return total.hexdigest()


def config_line(config: NpuConfig) -> str:
    """Return the line of an NPU configuration: its hash and that of its Verilog."""
    files = verilog(config)
    return f"npu {config.hash[:16]} verilog {digest(x for item in files.items() for x in item)}"


def network_line(seed: int) -> str:
    """Return the line of the sweep's case ``seed``: cycles, NPU and everything compiled."""
    compiled = draw(seed).compiled
    images = (compiled.weights, compiled.memory, compiled.channels)
    text = json.dumps(compiled.to_dict(), sort_keys=True)
    hash16 = compiled.config.hash[:16]
    words = [str(program.words) for program in compiled.programs.values()]
    content = digest([text, *words, *(image.tobytes() for image in images)])
    return f"network {seed} cycles {compiled.program.cycles} npu {hash16} {content}"


def lines() -> Iterator[str]:
    for config in (NpuConfig(), *sample(CONFIGS, MAX_LUTS)):
        yield config_line(config)
    for seed in SEEDS:
        yield network_line(seed)


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)  # noqa: T201
