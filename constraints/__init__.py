"""Devices and clocks: data only; a package so that an installed codesign finds the files."""
