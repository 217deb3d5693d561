"""Files around the Verilog: C header, facts for the driver, projects for Yosys, Vivado, FuseSoC."""

__all__ = [
    "c_header",
    "hardware",
    "projects",
]
