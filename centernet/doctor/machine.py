"""Facts about the machine: processor, memory, disk, cameras. Nothing here imports a library."""

import os
import platform
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from centernet import __version__
from centernet.doctor.diagnosis import Diagnosis
from centernet.installation import checkout
from centernet.training.memory import free_memory

_GIB = 2**30
_RUNS = Path("runs")  # where commands write by default
_SMALL_SHARED, _SMALL_DISK = _GIB / 4, 2 * _GIB
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # of /proc/cpuinfo, x86 and Arm


def examine_machine(diagnosis: Diagnosis, root: Path = Path("/")) -> None:
    """Add the sections ``system`` and ``machine``.

    Args:
        diagnosis: receives the facts and warnings.
        root: folder with the files of ``proc`` and ``sys`` of Linux.
    """
    folder = checkout()
    place = folder or Path(__file__).parents[2]
    diagnosis.sections["system"] = {
        "centernet": f"{__version__} ({'checkout' if folder else 'installed'} in {place})",
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        "processor": _processor(root),
    }
    total, free = _total_memory(root), free_memory(root)
    facts: dict[str, Any] = {
        "cores": cores(root),
        "cores_of_machine": os.cpu_count(),
        "bf16": _has_bf16(root),
        "memory_gib": total and round(total / _GIB, 1),
        "free_memory_gib": free and round(free / _GIB, 1),
    }
    facts |= _storage(diagnosis)
    if sys.platform.startswith("linux"):
        facts["cameras"] = sorted(map(str, Path("/dev").glob("video*")))
    diagnosis.sections["machine"] = facts


def cores(root: Path = Path("/")) -> float:
    """Processor cores that this process may use, within its affinity and a container's limit."""
    usable: float = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        quota, period = (root / "sys/fs/cgroup/cpu.max").read_text().split()
        usable = min(usable, int(quota) / int(period))  # quota "max" is no number
    with suppress(OSError, ValueError):
        folder = root / "sys/fs/cgroup/cpu"  # the first version of cgroups
        quota, period = (
            (folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
        )
        usable = min(usable, int(quota) / int(period)) if int(quota) > 0 else usable
    return round(usable, 2)


def _processor(root: Path) -> str:
    with suppress(OSError):
        for line in (root / "proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} ({platform.machine()})"
    return platform.processor() or platform.machine()


def _has_bf16(root: Path) -> bool | None:
    """Whether the processor has bf16 instructions; None if unknown."""
    with suppress(OSError):
        words = (root / "proc/cpuinfo").read_text().split()
        return not _BF16_FLAGS.isdisjoint(words)
    return None


def _total_memory(root: Path) -> int | None:
    """Bytes of memory, within the limit of a container; None if unknown."""
    amounts = []
    with suppress(OSError, ValueError, AttributeError):  # Windows has no sysconf
        amounts.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            amounts.append(int((root / "sys/fs/cgroup" / name).read_text()))
    return min(amounts, default=None)


def _storage(diagnosis: Diagnosis) -> dict[str, Any]:
    """Free disk space, shared memory, and whether runs can be written here."""
    place = _RUNS if _RUNS.exists() else Path()
    facts: dict[str, Any] = {"folder_of_runs": str(_RUNS.absolute())}
    facts["runs_writable"] = place.is_dir() and os.access(place, os.W_OK)
    if not facts["runs_writable"]:
        diagnosis.warnings.append(
            f"{_RUNS.absolute()} cannot be written: run the commands in another folder, or give "
            "--output (fit: --trainer.default_root_dir)"
        )
    with suppress(OSError):
        free = shutil.disk_usage(place).free
        facts["free_disk_gib"] = round(free / _GIB, 1)
        if free < _SMALL_DISK:
            diagnosis.warnings.append(
                f"{free / _GIB:.1f} GiB of disk are free: checkpoints and videos may not fit"
            )
    with suppress(OSError):
        shared = shutil.disk_usage("/dev/shm").total
        facts["shared_memory_gib"] = round(shared / _GIB, 2)
        if shared < _SMALL_SHARED:
            diagnosis.warnings.append(
                f"/dev/shm has {shared / 2**20:.0f} MiB, which training workers need: start the "
                "container with --shm-size 2g, or train with --data.workers 0"
            )
    return facts
