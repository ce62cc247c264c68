"""What the janitor's large sweeps cost, and whom they disturb: ``make bench-janitor``.

Ends with status 1 if a statement holds its locks for 100 ms or longer, if anything that should go
is left, or if deleting many files takes more than a tenth of the calls of one by one.
"""
