"""Early-exit methods on GLUE: train once, trace once, replay every operating point.

The command line of a checkout; `early-exit-bench` is the same where the package is installed.
"""

import sys

from bench.cli import build_parser, main

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    sys.exit(main())
