"""explore: from a budget and a data set to a verified NPU, restartable at every step.

    SearchSpace -> candidates -> pruned by the budget -> short trainings -> front -> chosen design
    -> full training -> program and Verilog -> synthesis -> verification -> summary and report

Everything lands in one folder: trials.journal (the Optuna study), front.json, training/, build/,
summary.json. docs/explanation/search.md explains the steps and the rule of choice.
"""

from codesign.explore.run import ExploreResult, explore
from codesign.explore.settings import ExploreSettings

__all__ = ["ExploreResult", "ExploreSettings", "explore"]
