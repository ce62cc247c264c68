"""The chaos suite: real processes, real servers, and a seed that decides what breaks and when.

``python -m tests.chaos --minutes M --files N --seed S`` runs docmill and then a naive worker
through the same faults, proves what must hold, and prints both side by side.
"""
