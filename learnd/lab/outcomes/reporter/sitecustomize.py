"""Loaded by every Python of a replay (this folder is on its PYTHONPATH): reports what pytest and unittest run.

It stands in front of the interpreter's own `sitecustomize`, which is run afterwards. It waits until the program itself
imports a test runner, so other programs pay one import hook. Runs on Python 3.6 and later: the code under test chooses.
"""

import os
import sys


def _arm() -> None:
    if getattr(sys, "_learnd_reporter", False) or not os.environ.get("LEARND_REPORT_DIR"):
        return
    sys._learnd_reporter = True  # type: ignore[attr-defined]
    try:
        import learnd_reporter
    except ImportError:  # a program that rebuilt sys.path: the replay then has no report, and says so
        return
    learnd_reporter.watch_imports()


def _run_next() -> None:
    """Run the `sitecustomize` that would have been found without this folder: the first one further down the path."""
    import importlib.machinery
    import importlib.util

    here = os.path.dirname(os.path.abspath(__file__))
    folders = [os.path.abspath(entry or ".") for entry in sys.path]
    rest = sys.path[folders.index(here) + 1 :] if here in folders else []
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


_first = not getattr(sys, "_learnd_reporter", False)
_arm()
if _first:
    _run_next()
