"""Instruction set and register map: the one definition that RTL, compiler and driver share."""
