"""The front on CIFAR-10: trained designs in examples/cifar10, with figures that anyone recomputes.

``.index`` is the list of designs, ``.stored`` the folder of one, ``.measuring`` recomputes its
figures, ``.verify`` compares them with the index, ``.adding`` puts a new design in, ``.picture``
draws all of them beside published ones (``.published``); ``python -m benchmarks.headline`` is the
command.
"""
