"""Faults at random moments of real commands: nothing finished is lost, nothing is left behind.

``python -m tests.faults`` (``make faults``) draws commands, faults and moments from a seed. After
each fault the command is run again, without one. jobs (commands, and what they have finished),
injection (faults), runner (one of them, and what is wrong afterwards).
"""
