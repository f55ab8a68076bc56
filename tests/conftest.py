"""Two test processes share two cores: more threads than that slow each other down tenfold."""

import torch

torch.set_num_threads(1)
