"""How the process handles memory that it no longer needs."""

import ctypes
import sys

# Of mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Let the C library keep large blocks that are freed, instead of giving them back each time.

    A training step on a CPU makes and frees hundreds of megabytes of feature maps. By default each
    block comes fresh from the system, page by page, all zeros: some 100,000 page faults a step. The
    process then stays as large as it once was. It changes no result.

    Returns:
        Whether it could be done: with glibc, so on most of Linux.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))
