"""``codesign explore``: joint search of network, bit widths and NPU under an FPGA budget.

    search space -> candidates -> pruned by the budget -> short trainings -> Pareto front -> choice
    -> full training and synthesis -> program and Verilog -> verification -> summary and report

All results go to one folder, so that an interrupted run can resume after every step:
explore.json (the settings), trials.journal (the Optuna study, unless --storage has it), trials.csv
(the same as a table), standings.jsonl (what was reached after each training), front.json,
training/, build/, summary.json. Workers (``serve``) on any machine train for the study.
given/ is the search for a network that exists (``--network``), telling/ what is said of designs.
docs/explanation/search.md explains the steps and the rule of choice.
"""

from codesign.explore.run import ExploreResult, explore
from codesign.explore.settings import ExploreSettings
from codesign.explore.worker import WorkerSettings, serve
from codesign.search.standing import Standing

__all__ = ["ExploreResult", "ExploreSettings", "Standing", "WorkerSettings", "explore", "serve"]
