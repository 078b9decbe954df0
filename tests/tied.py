"""Programs that end when the tests that started them do, also when those are killed: nothing stays behind."""

import os
import runpy
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).parent


def start(module, *arguments, **options):
    """Start `python -m MODULE ARGUMENTS`; our end of its standard input is closed the moment that we are gone."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}
    command = [sys.executable, str(HERE / "tied.py"), module, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, **options)


def end_with_input():
    os.read(0, 1)  # not through sys.stdin, which the interpreter locks when it ends
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_input, daemon=True).start()
    sys.argv.pop(0)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
