"""The joint search over network, bits and NPU.

space/ (what may be picked), accuracy/ (how good a network will be), optimisers (what to try
next), engine (the loop), pareto (fronts), store (the journal), parts (batches on several
threads).
"""

__all__ = [
    "accuracy",
    "engine",
    "optimisers",
    "pareto",
    "space",
    "store",
]
