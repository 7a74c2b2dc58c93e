import subprocess
import sys

import pytest

from centernet.training import memory
from centernet.training.memory import free_memory, keep_freed_memory, memory_for_images

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


def _linux(root, available: str, **group: str):
    (root / "proc").mkdir()
    (root / "proc" / "meminfo").write_text(f"MemTotal: 9000 kB\n{available}")
    folder = root / "sys" / "fs" / "cgroup"
    folder.mkdir(parents=True)
    for name, content in group.items():
        (folder / f"memory.{name}").write_text(content)
    return root


@pytest.mark.parametrize(
    ("available", "group", "free"),
    [
        ("MemAvailable: 4000 kB\n", {}, 4000 * 1024),
        ("MemAvailable: 4000 kB\n", {"max": "max\n", "stat": "anon 1\nshmem 2\n"}, 4000 * 1024),
        ("MemAvailable: 4000 kB\n", {"max": "5000\n", "stat": "anon 1000\nshmem 500\n"}, 3500),
        ("MemAvailable: 1 kB\n", {"max": "5000\n", "stat": "anon 1000\nshmem 500\n"}, 1024),
        ("", {"max": "10\n", "stat": "anon 1000\nshmem 500\n"}, 0),
        ("", {}, None),
    ],
)
def test_free_memory_is_that_of_the_system_or_the_container(tmp_path, available, group, free):
    assert free_memory(_linux(tmp_path, available, **group)) == free


@pytest.mark.parametrize(
    ("free", "images"), [(None, 2**30), (2**30, 2**28), (2**40, 2**30), (0, 0)]
)
def test_images_take_a_part_of_the_free_memory(monkeypatch, free, images):
    monkeypatch.setattr(memory, "free_memory", lambda: free)
    assert memory_for_images() == images
