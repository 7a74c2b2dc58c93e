"""The ``centernet`` command as ``python -m centernet``."""

from centernet.cli import main

if __name__ == "__main__":
    main()
