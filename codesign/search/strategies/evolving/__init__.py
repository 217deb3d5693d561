"""Strategies that vary good candidates, by chance, by distributions over genes or for novelty.

evolution (the archive by hypervolume that others build on), nsga2 and emonas, regularised, quantum
(distributions that move to the best), novelty (what is far from all known); variation has
crossovers and mutations that they share.
"""

__all__ = ["emonas", "evolution", "novelty", "nsga2", "quantum", "regularised", "variation"]
