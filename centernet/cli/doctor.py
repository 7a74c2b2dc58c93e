"""``centernet doctor``: what is installed, what works, and what to install for what."""

import argparse

HELP = "check the installation and the machine"
EXTRA = ""
DESCRIPTION = """\
Check the installation and the machine: versions, devices, memory, which features are installed and
the command that installs the others, and libraries that are installed but do not work.

  centernet doctor
  centernet doctor --quick
  centernet doctor --json > doctor.json        # for a bug report
"""
EPILOG = """\
Each library is imported in another process, which takes some seconds with PyTorch. No camera is
opened, and nothing is downloaded.

exit status: 0; 1 if a library that is installed does not work; 2 for a wrong option
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add("--quick", action="store_true", help="import no libraries: versions and machine only")
    add("--json", action="store_true", help="print JSON instead of text")


def run(options: argparse.Namespace) -> int:
    """Print the diagnosis; returns the exit status."""
    import json
    import sys

    from centernet.doctor.diagnosis import Diagnosis
    from centernet.doctor.libraries import examine_libraries
    from centernet.doctor.machine import examine_machine

    def show(name: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[Kimporting {name}", end="", file=sys.stderr, flush=True)

    diagnosis = Diagnosis()
    examine_machine(diagnosis)
    examine_libraries(diagnosis, quick=options.quick, progress=show)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps(diagnosis.as_dict(), indent=1, default=str))
    else:
        print(diagnosis.as_text())
    return 1 if diagnosis.errors else 0
