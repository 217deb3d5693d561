"""The parts of pages that code and data know themselves: ``python -m docs.generate`` writes them.

A page holds ``<!-- table: NAME -->`` and ``<!-- end -->``; what stands between them is replaced by
what the generator of that name returns. One module per kind of page: verbs (command line), search
(search file and space), npu, layers, isa (instructions and registers), outputs (JSON), devices,
rooms (the API) and headline (the front on CIFAR-10). sources reads docstrings and ranges out of the
code, markdown lays out tables. tests/test_docs_reference.py holds the pages to them.
"""
