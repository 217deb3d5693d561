"""Steps from a design to a verified build folder.

pipeline (training, lowering to integers, compiling), build_folder (the folder's files and its
manifest), verification (simulation of a build folder and the verdict).
"""

__all__ = [
    "build_folder",
    "evaluation",
    "pipeline",
    "verification",
]
