"""Kinds of small networks that others publish, and how many of them are imported.

blocks (layers that several kinds share), images and others (the kinds), survey (``python -m
benchmarks.importing.survey``).
"""
