"""Generate an NNgen accelerator for a CNN: its Verilog and a test bench.

``python nngen_cnn.py REQUEST``, run by ``benchmarks.peers.nngen_figures`` with the interpreter of
an environment that has NNgen and not this project. REQUEST is one JSON object: ``shape`` [channels,
rows, columns] of the image, ``layers`` (["conv", channels], ["pool", size] or ["linear", features,
relu]), ``bits``, ``par_ich``, ``par_och``, ``axi_bits``.

Writes nngen.v (top ``nngen``), bench.v (top ``test``) and memory.hex into the current folder.
Everything follows NNgen's own examples/cnn/cnn.py: random weights; bias, scale and shift after each
sum; NNgen's AXI memory model with its default delays; logits compared with NNgen's software model.
"""

import json
import sys
from pathlib import Path

import nngen as ng
import numpy as np
import veriloggen as vg
import veriloggen.thread as vthread
from veriloggen.types import axi

CHUNK_BYTES = 64
MEMORY_BYTES = 1 << 20
MEMORY = "memory.hex"


def variable(rng, name, shape, dtype, largest):
    made = ng.variable(dtype=dtype, shape=shape, name=name)
    made.set_value(rng.integers(-largest, largest + 1, shape))
    return made


def network(request, dtype, rng):
    """Return the input placeholder and the last operator, with weights and parallelism set."""
    channels, rows, columns = request["shape"]
    largest = (1 << (request["bits"] - 1)) - 1
    image = ng.placeholder(dtype=dtype, shape=(1, rows, columns, channels), name="image")
    value = image
    for index, (op, size, *rest) in enumerate(request["layers"]):
        if op == "pool":
            value = ng.max_pool_serial(value, ksize=(1, size, size, 1), strides=(1, size, size, 1))
            value.attribute(par=request["par_och"])
            continue
        if op == "linear":
            value = ng.reshape(value, [1, -1])
        kernel = (3, 3) if op == "conv" else ()
        options = dict(
            bias=variable(rng, f"bias{index}", (size,), dtype, largest // 8),
            scale=variable(rng, f"scale{index}", (size,), dtype, 0),
            act_func=ng.relu if op == "conv" or rest[0] else None,
            sum_dtype=ng.int32,
        )
        options["scale"].set_value(np.ones(size, np.int64))
        weights = variable(rng, f"weights{index}", (size, *kernel, value.shape[-1]), dtype, largest)
        if op == "conv":
            value = ng.conv2d(value, weights, strides=(1, 1, 1, 1), **options)
        else:
            value = ng.matmul(value, weights, transposed_b=True, **options)
        value.attribute(
            par_ich=request["par_ich"],
            par_och=request["par_och"],
            cshamt_out=request["bits"] + 1,
        )
    return image, value


def memory_image(request, image, logits, codes):
    """Write the contents of external memory; return addresses of scratch and expected logits."""
    expected = ng.eval([logits], image=codes)[0]
    parameters = ng.export_ndarray([logits], CHUNK_BYTES)

    def after(address, size):
        return -(-(address + size) // CHUNK_BYTES) * CHUNK_BYTES

    variables = after(image.addr, image.memory_size)
    check = after(variables, len(parameters))
    scratch = after(check, logits.memory_size)
    words = np.zeros(MEMORY_BYTES // 4, np.int64)
    bits, beat = request["bits"], request["axi_bits"] // request["bits"]
    axi.set_memory(words, codes, 32, bits, image.addr, max(beat, request["par_ich"]))
    axi.set_memory(words, parameters, 32, 8, variables)
    axi.set_memory(words, expected, 32, bits, check, max(beat, request["par_och"]))
    axi.to_memory_image(MEMORY, words, datawidth=32)
    return scratch, check


def bench(request, accelerator, logits, scratch, check):
    """Return the test bench, which prints the cycles from start to done and checks the logits."""
    module = vg.Module("test")
    module.copy_params(accelerator)
    ports = module.copy_sim_ports(accelerator)
    clock, reset_low = ports["CLK"], ports["RESETN"]
    reset = module.Wire("RST")
    reset.assign(vg.Not(reset_low))
    memory = axi.AxiMemoryModel(
        module, "memory", clock, reset, datawidth=request["axi_bits"], memimg=MEMORY
    )
    memory.connect(ports, "maxi")
    control = vthread.AXIMLite(module, "control", clock, reset, noio=True)
    control.connect(ports, "saxi")
    counter = module.Reg("counter", 32, initval=0)
    vg.Seq(module, "count", clock, reset)(counter.inc())
    bits, first, values = request["bits"], logits.addr, logits.shape[1]

    # NNgen compiles this function to a state machine, so it is written in its subset of Python.
    def drive():
        for _ in range(100):
            pass
        ng.sim.set_global_addrs(control, scratch)
        begin = counter.value
        ng.sim.start(control)
        ng.sim.wait(control)
        end = counter.value
        print("cycles %d" % (end - begin))  # noqa: UP031
        for index in range(values):
            got = memory.read_word(index, first, bits)
            want = memory.read_word(index, check, bits)
            if vthread.verilog.NotEql(got, want):
                print("WRONG %d %d" % (got, want))  # noqa: UP031
            else:
                print("right %d %d" % (got, want))  # noqa: UP031
        vthread.finish()

    vthread.Thread(module, "driver", clock, reset, drive).start()
    module.Instance(
        accelerator, "uut", params=module.connect_params(accelerator),
        ports=module.connect_ports(accelerator),
    )  # fmt: skip
    vg.simulation.setup_clock(module, clock, hperiod=5)
    vg.simulation.setup_reset(module, reset_low, module.make_reset(), period=100, polarity="low")
    return module.to_verilog()


def main():
    request = json.loads(sys.argv[1])
    rng = np.random.default_rng(0)
    dtype = ng.dtype_int(request["bits"])
    image, logits = network(request, dtype, rng)
    codes = rng.integers(0, 1 << (request["bits"] - 1), image.shape)
    config = {"maxi_datawidth": request["axi_bits"]}
    accelerator = ng.to_veriloggen([logits], "nngen", silent=True, config=config)
    Path("nngen.v").write_text(accelerator.to_verilog())
    scratch, check = memory_image(request, image, logits, codes)
    Path("bench.v").write_text(bench(request, accelerator, logits, scratch, check))


if __name__ == "__main__":
    main()
