"""A program that makes tables which take for ever, on processes of its own."""

import time

from bench.processes import call_all

if __name__ == "__main__":
    call_all(time.sleep, [(1000,)] * 24, "naps")
