"""Strip plans of codesign.compiler.mapping.strips, computed on records.

A strip plan is the partition of feature-map rows over the banks (strips). The tensors that are
spread over all banks are a prefix of the chain; every end of that prefix (break) is tried, from the
longest on, until the layers behind it alone take more cycles than the best plan found.
"""

from __future__ import annotations

from codesign.cost.cycles.compiled import Records, part
from codesign.cost.cycles.records import ceil
from codesign.cost.cycles.stacks import source
from codesign.cost.cycles.tiles import layer_cycles


@part
def fastest_cycles(chain: Records, count: int, pixels: int) -> int:
    """Return the cycles of all layers under the fastest legal strip plan, and write its strips.

    count: layers of the chain, all tiled. Cycles are those of ``layer_cycles``. Of equally fast
    plans, the one that spreads most tensors is taken. Its ``strip_rows`` are written into the
    records, beside ``alone_cycles`` and what ``_spreadable`` writes.
    """
    chain[count].alone_cycles = 0
    for slot in range(count - 1, -1, -1):
        own = layer_cycles(chain[slot], chain[slot].out_rows, 1)
        chain[slot].alone_cycles = chain[slot + 1].alone_cycles + own
    best, best_last, best_unit = chain[0].alone_cycles, -1, 0
    for last in range(_spreadable(chain, count, pixels), -1, -1):
        if best < chain[last].alone_cycles:
            break
        unit = _unit(chain, count, last)
        _spread(chain, count, last, unit)
        cycles = chain[last].alone_cycles
        for slot in range(last):
            cycles += strip_cycles(chain, slot)
        better = cycles < best or (cycles == best and best_last < 0)
        if better and _legal(chain, count):
            best, best_last, best_unit = cycles, last, unit
    _spread(chain, count, best_last, best_unit)
    return best


@part
def strip_cycles(chain: Records, slot: int) -> int:
    """Return the ``layer_cycles`` of a layer under the strip plan that the records hold."""
    height, rows = chain[slot].out_rows, chain[slot + 1].strip_rows
    return layer_cycles(chain[slot], min(rows, height), ceil(height, rows))


@part
def _spreadable(chain: Records, count: int, pixels: int) -> int:
    """Return the index of the last tensor that may lie in all banks; 0 is the image.

    count: layers of the chain; pixels: number of banks. Writes ``ratio`` and ``least_rows`` of the
    tensors up to it into the records.
    """
    chain[0].ratio, chain[0].least_rows = 1, ceil(chain[0].height, pixels)
    for slot in range(count):
        layer, made = chain[slot], chain[slot + 1]
        if layer.raw or layer.out_rows == 1:
            return slot
        made.ratio = min(layer.ratio, chain[slot - layer.skip].ratio) * layer.step
        made.least_rows = max(layer.least_rows, ceil(made.height, pixels) * made.ratio)
    return count


@part
def _unit(chain: Records, count: int, last: int) -> int:
    """Return the least rows per strip of tensor ``last`` if it is the last one in all banks.

    Rounded up to whole rows. ``_spreadable`` has been called.
    """
    layer = chain[last]
    least = layer.least_rows
    if last < count:  # pixel lane 0 alone reads it, at most one strip boundary per step
        step = layer.step if layer.out_rows > 1 else 1
        least = max(least, max(step, layer.stride if layer.pool_area > 1 else 1) * layer.ratio)
    return ceil(least, layer.ratio)


@part
def _spread(chain: Records, count: int, last: int, unit: int) -> None:
    """Write the rows per strip of all tensors, with those up to ``last`` in all banks.

    unit: rows per strip of tensor ``last``. The tensors behind it have all their rows in bank 0; if
    ``last`` is -1, all tensors have.
    """
    for tensor in range(last + 1):
        chain[tensor].strip_rows = unit * (chain[last].ratio // chain[tensor].ratio)
    for tensor in range(last + 1, count + 1):
        chain[tensor].strip_rows = chain[tensor].height


@part
def _legal(chain: Records, count: int) -> bool:
    """Return True if tensors that lie side by side, or one addition reads, have equal strips."""
    for tensor in range(1, count):  # the last one, the logits, lies nowhere
        if chain[tensor].strip_rows != chain[chain[tensor].root].strip_rows:
            return False
    for slot in range(count):
        layer = chain[slot]
        if layer.sources > 1 and layer.strip_rows != chain[slot - layer.skip].strip_rows:
            return False
    return True


@part
def join(chain: Records, count: int) -> None:
    """Write ``root`` and ``last_use`` of all tensors of a chain of ``count`` layers."""
    for tensor in range(count + 1):
        chain[tensor].root = tensor
    for slot in range(count):
        layer, last = chain[slot], source(chain, slot)
        for tensor in range(last - layer.stacked + 1, last + 1):
            chain[tensor].root = min(chain[tensor].root, last - layer.stacked + 1)
        if layer.sources > 1:
            last = slot - layer.skip
            for tensor in range(last - layer.other_stacked + 1, last + 1):
                chain[tensor].root = min(chain[tensor].root, last - layer.other_stacked + 1)
    for tensor in range(count + 1):
        chain[chain[tensor].root].last_use = max(tensor - 1, 0)
    for slot in range(count):
        chain[chain[source(chain, slot)].root].last_use = slot
        if chain[slot].sources > 1:
            other = chain[chain[slot - chain[slot].skip].root]
            other.last_use = max(other.last_use, slot)


@part
def most_words(chain: Records, count: int, kept_from: int) -> int:
    """Return the most words alive at once in a bank, a lower bound that allocation mostly meets.

    count: layers of the chain, whose ``strip_rows`` are known. kept_from: from this layer on the
    image counts as well, since the next one is loaded to its place; ``count`` if it is not. Writes
    ``words`` of each tensor into the records, of a root those of all that lie beside it. ``join``
    has been called.
    """
    for tensor in range(count + 1):
        chain[tensor].words = 0
        chain[chain[tensor].root].words += chain[tensor].pixel_words
    for slot in range(count):
        if chain[slot].sources > 1:  # a layer walks both operands alike: the wider one counts
            first, second = chain[chain[slot].root], chain[chain[slot - chain[slot].skip].root]
            first.words = second.words = max(first.words, second.words)
    for tensor in range(count + 1):
        of = chain[tensor]
        of.words *= min(of.strip_rows, of.height) * of.cols
    most = 0
    for slot in range(count):
        alive = 0
        for tensor in range(slot + 2):
            if chain[tensor].root == tensor and chain[tensor].last_use >= slot:
                alive += chain[tensor].words
        if slot >= kept_from and chain[0].last_use < slot:
            alive += chain[0].words
        most = max(most, alive)
    return most
