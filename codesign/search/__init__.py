"""Joint multi-objective search over network, bit widths and NPU.

space/ (search spaces and their encoding as genes), accuracy/ (accuracy estimation for networks that
are not fully trained), strategies/ (what to try next), bench/ (comparison of strategies on tasks
whose front is known), problem (designs and their estimates), engine (search loop on estimates),
pareto (fronts, crowding distance, hypervolume), store (journal of trained designs), parts (batches
in chunks on several threads).
"""

__all__ = [
    "accuracy",
    "bench",
    "engine",
    "pareto",
    "problem",
    "space",
    "store",
    "strategies",
]
