"""Instruction set, register map and data formats: the one definition for RTL, compiler and driver.

opcodes, fields and encoding (instructions), registers (AXI4-Lite), bursts (memory port), walk
(nested address loops), lanes and weight_words (how codes and digits lie in words).
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
