"""Instruction set, register map and data formats: the single definition for RTL, compiler, driver.

opcodes, fields and encoding define the instructions, registers the AXI4-Lite address map, bursts
the units of the memory port, walk the address steps of a layer's loop nest, lanes and weight_words
the bit layout of activation and weight words. docs/reference/isa.md is the reference.
"""

__all__ = [
    "bursts",
    "encoding",
    "fields",
    "lanes",
    "opcodes",
    "registers",
    "walk",
    "weight_words",
]
