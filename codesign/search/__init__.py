"""Joint multi-objective search over network, bit widths and NPU.

space/ (search spaces and their encoding as genes), accuracy/ (accuracy estimation for networks that
are not fully trained), strategies/ (what to try next), bench/ (comparison of strategies on tasks
whose front is known), problem (designs and their estimates), engine (search loop on estimates),
refining (of the front, by what limits it), picking (what to train next), pareto (fronts, crowding
distance, hypervolume), parts (batches in chunks on several threads); storage, studies, trials and
store (trained designs in an Optuna study that processes share), crew (training of what a study asks
for), standing (what the search has reached).
"""

__all__ = [
    "accuracy",
    "bench",
    "crew",
    "engine",
    "pareto",
    "picking",
    "problem",
    "refining",
    "space",
    "standing",
    "storage",
    "store",
    "strategies",
    "studies",
    "trials",
]
