"""Files around the Verilog: C header, Python driver facts, and projects for Yosys, Vivado, FuseSoC."""

__all__ = [
    "c_header",
    "hardware",
    "projects",
]
