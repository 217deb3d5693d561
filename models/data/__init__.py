"""Data sets: images and labels split into training, validation and test part.

datasets (the entry point), array_files (.npz, IDX, scikit-learn), image_files (folders and zips
of pictures, CIFAR-10 batches), augmentation (random changes to training images).
"""

__all__ = [
    "augmentation",
    "datasets",
]
