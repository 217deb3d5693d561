"""Data sets of labelled examples, split into training, validation and test part.

datasets (the entry point), values (the mapping from a user's values to input levels), layout
(which axis is what), raw (parts and class names before the mapping), array_files (.npz, IDX,
scikit-learn), folders (parts and classes of image folders), pictures (one picture file),
image_files (folders and zips of them), cifar10 (batches or pictures), batches (CIFAR-10's),
splitting (parts that are missing), augmentation (random shifts and mirroring in training), targets
(answers that are no classes).
"""

__all__ = [
    "augmentation",
    "datasets",
    "layout",
    "pictures",
    "raw",
    "targets",
    "values",
]
