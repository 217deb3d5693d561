"""Cycles of networks on NPUs, in closed form on whole batches."""
