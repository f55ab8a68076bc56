"""Every test process is alike: one thread, since two share two cores, and pages wide enough for every table."""

import os

import torch

torch.set_num_threads(1)  # more threads than cores slow each other down tenfold
os.environ["COLUMNS"] = "200"  # before the command's console is made, which keeps the width that it finds
