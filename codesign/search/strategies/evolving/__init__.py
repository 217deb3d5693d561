"""Strategies that vary good candidates: by chance, by distributions over genes, by novelty.

evolution (the archive by hypervolume that others build on), nsga2, regularised; variation is what
they share.
"""

__all__ = ["evolution", "nsga2", "regularised", "variation"]
