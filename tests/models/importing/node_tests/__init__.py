"""ONNX's own node tests (inside its package) for the operators that are mapped.

cases (which tests, and the ways to give each to the importer), running (what becomes of each),
page (those refused, with the reason), __main__ (``make node-tests`` writes that page).
"""
