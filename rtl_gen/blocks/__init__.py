"""The NPU's building blocks: each one Verilog module, with function, latency and overflow."""
