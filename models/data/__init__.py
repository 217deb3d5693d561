"""Data sets of labelled images, split into training, validation and test part.

datasets (the entry point), array_files (.npz, IDX, scikit-learn), image_files (image folders and
zips, CIFAR-10 batches), augmentation (random shifts and flips of training images).
"""

__all__ = [
    "augmentation",
    "datasets",
]
