"""From a design to a verified build folder.

pipeline (training, lowering, compiling), build_folder (writes the folder, owns its manifest),
verification (simulates a build folder and states the verdict).
"""

__all__ = [
    "build_folder",
    "pipeline",
    "verification",
]
