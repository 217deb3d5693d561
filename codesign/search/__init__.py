"""Joint search: a declared space, ask / tell strategies, Pareto functions and the trial store."""
