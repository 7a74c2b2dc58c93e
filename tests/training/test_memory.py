import subprocess
import sys

import pytest

from centernet.training.memory import keep_freed_memory

# Makes and frees 64 MB sixty times, and prints how many page faults that took.
SCRIPT = """
import resource, sys
import torch
from centernet.training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
torch.ones(2**24)
torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(60):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not keep_freed_memory(), reason="not glibc")
def test_freed_memory_is_used_again_without_page_faults():
    usual, kept = (
        int(
            subprocess.run(
                [sys.executable, "-c", SCRIPT, how], capture_output=True, check=True
            ).stdout
        )
        for how in ("usual", "keep")
    )
    # 64 MB are 16384 pages, or 32 large ones.
    assert usual >= 60 * 32
    assert kept < usual / 3
