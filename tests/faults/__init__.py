"""The fault harness: the platform's real processes under load, hit by seeded faults, judged by independent evidence.

`python -m tests.faults --faults 200 --seed 7` (`make soak FAULTS=200 SEED=7`); `tests/process/test_faults.py` runs 20
of them. The same seed asks for the same commands and strikes the same faults in the same order; how the processes
interleave is the machine's.
"""
