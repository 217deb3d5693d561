"""Steps from a design to a verified build folder.

pipeline (training, lowering to integers, compiling), imported (designs of networks of others),
imported_build (the steps for these, which have nothing to train), floats (float networks of others,
which have no bits yet), npu_choice and npu_file (an NPU for them), build_folder (the folder's
files), manifest (which of them are the build's and unchanged), carried (our own sources in it),
verification (simulation of a build folder and the verdict), evaluation (accuracy of the integer
network), built (the network of a build folder, for other data), other_data (labelled data for it),
inputs (pictures and arrays for it), weights (trained ones from elsewhere).
"""

__all__ = [
    "build_folder",
    "built",
    "evaluation",
    "imported",
    "imported_build",
    "inputs",
    "manifest",
    "npu_choice",
    "npu_file",
    "other_data",
    "pipeline",
    "verification",
    "weights",
]
