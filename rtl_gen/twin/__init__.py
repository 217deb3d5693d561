"""The NPU's behaviour at instruction level in numpy: what the RTL is compared with."""
