"""Tasks of networks: outputs are classes, a class for each pixel, numbers, or the input again.

kinds (the tasks: which outputs they need, how good outputs are, what is learned), lessons (what
training needs of one: targets, loss, distance of answers), units (numbers as training has them),
scores (accuracy with its interval, confusion matrix), measures (of outputs that are no classes).
"""

__all__ = ["kinds", "lessons", "measures", "scores", "units"]
