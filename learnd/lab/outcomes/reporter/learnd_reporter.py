"""Reports, from inside the test process, which test ended how and why: one JSON line each, into LEARND_REPORT_DIR.

The first process that starts a test run takes the report for itself (`claim`) and removes the variable, so that tests
which start test runners of their own do not speak for the replay. A run that was cut short (`os._exit`, a crash) has no
`end` line, and such a report counts for nothing. Python 3.6 and later, standard library only.
"""

import importlib.abc
import importlib.machinery
import json
import os
import random
import re
import sys
import types

MESSAGE_MAX = 400
PATCHED_MAX = 20
PLUGIN_OPTION = "-p learnd_pytest_reporter"
_NO_NAME = re.compile(r"cannot import name '?([\w.]+)'?")
_NO_MODULE = re.compile(r"No module named '?([\w.]+)'?")
_NO_ATTRIBUTE = re.compile(r"(?:module|type object) '[\w.]+' has no attribute '(\w+)'")
_UNDEFINED = re.compile(r"name '(\w+)' is not defined")

_claimed = []  # the open report, once claimed
_order = []  # the seed of the tests' order, once a runner took it


class Report:
    """The open report file. Every line is written at once: a killed process leaves what it knew."""

    def __init__(self, tool, version):
        folder = os.environ.pop("LEARND_REPORT_DIR")
        name = os.path.join(folder, "%s-%d.ndjson" % (tool, os.getpid()))
        self._file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._owner = os.getpid()
        self.write({"t": "start", "tool": tool, "version": version, "python": sys.version.split()[0]})

    def write(self, entry):
        if os.getpid() == self._owner:  # a forked child has inherited the file, not the right to speak
            os.write(self._file, (json.dumps(entry) + "\n").encode("utf-8", "backslashreplace"))

    def patched(self, names):
        """Say what of the runner was replaced while it ran; nothing where nothing was."""
        if names:
            self.write({"t": "patched", "names": sorted(names)[:PATCHED_MAX]})


class Original:
    """The functions of some modules as they are now, to tell later which were replaced: a change to the code under test
    must not decide what an assertion is.
    """

    def __init__(self, modules):
        self.modules = modules
        self.functions = dict(self._functions())

    def replaced(self):
        """Names of the functions that are not what they were."""
        now = dict(self._functions())
        return sorted(
            name
            for name, (function, code) in self.functions.items()
            if now.get(name, (None, None))[0] is not function or now[name][1] is not code
        )

    def _functions(self):
        for module in self.modules:
            members = list(vars(sys.modules[module]).items()) if module in sys.modules else []
            for name, value in members:
                if isinstance(value, type) and value.__module__ == module:
                    for method, inner in list(vars(value).items()):
                        for found in _code(inner):
                            yield "%s.%s.%s" % (module, name, method), found
                else:
                    for found in _code(value):
                        yield "%s.%s" % (module, name), found


def _code(value):
    """(function, its code) of a function or of a method however it is wrapped; nothing of other values."""
    function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
    if isinstance(function, types.FunctionType):
        yield function, function.__code__


def claim(tool, version):
    """The report of this replay, or None when it is already taken."""
    if _claimed or not os.environ.get("LEARND_REPORT_DIR"):
        return None
    try:
        report = Report(tool, version)
    except OSError:
        return None
    _claimed.append(report)
    return report


def order_seed():
    """The seed that the tests are to be shuffled by, or None for the runner's own order.

    Taken out of the environment when a runner asks for it: test runners that tests start run in their own order.
    """
    if not _order:
        text = os.environ.pop("LEARND_ORDER_SEED", "")
        _order.append(int(text) if text.isdigit() else None)
    return _order[0]


def shuffled(groups, seed):
    """`groups` in another order. The same seed gives the same order for the same number of groups."""
    mixed = list(groups)
    random.Random(seed).shuffle(mixed)  # noqa: S311 - an order, not a secret
    return mixed


def failure(error, phase):
    """What a raised exception says: kind, symbol and message, as the parser expects them."""
    cause = getattr(error, "__cause__", None)
    if type(error).__name__ == "CollectError" and cause is not None:  # pytest's, around what the import raised
        error = cause
    kind, symbol = classify(error, phase)
    return {"kind": kind, "symbol": symbol, "message": describe(error)}


def classify(error, phase):
    """(kind, symbol). A missing name goes before the phase: the change may be what adds it."""
    text = str(error)
    if isinstance(error, ImportError):
        named = _NO_NAME.search(text)
        if named and not isinstance(error, ModuleNotFoundError):
            return "missing_symbol", named.group(1)
        module = getattr(error, "name", None) or _first(_NO_MODULE, text)
        return "import", module
    symbol = _missing_attribute(error, text)
    if symbol:
        return "missing_symbol", symbol
    if type(error).__name__ in ("Timeout", "TimeoutExpired") or text.startswith("Timeout >") or "Timeout (>" in text:
        return "timeout", None
    if phase == "collection":
        return "collection", None
    if phase != "call":
        return "setup", None
    if isinstance(error, AssertionError) or type(error).__name__ in ("Failed", "XFailed", "FailedTest"):
        return "assertion", None
    return "error", None


def _missing_attribute(error, text):
    if isinstance(error, NameError) and not isinstance(error, UnboundLocalError):
        return getattr(error, "name", None) or _first(_UNDEFINED, text)
    if isinstance(error, AttributeError):
        owner = getattr(error, "obj", None)
        if isinstance(owner, (types.ModuleType, type)):
            return getattr(error, "name", None) or _first(_NO_ATTRIBUTE, text)
        return _first(_NO_ATTRIBUTE, text)
    return None


def _first(pattern, text):
    found = pattern.search(text)
    return found.group(1) if found else None


def describe(error):
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception of the code under test may fail to print itself
        text = "(no message)"
    return ("%s: %s" % (type(error).__name__, text))[:MESSAGE_MAX]


# --- finding the runners ------------------------------------------------------------------------------


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the next finder find the module, then runs our part right after the module's own code."""

    def __init__(self, hooks):
        self.hooks = hooks

    def find_spec(self, name, path=None, target=None):
        hook = self.hooks.get(name)
        if hook is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            return None
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            if self.hooks.pop(name, None) is not None:
                hook(module)

        spec.loader.exec_module = exec_module
        return spec


def watch_imports():
    """Hook into pytest and unittest when, and only when, the program imports them."""
    hooks = {"_pytest.config": _found_pytest, "unittest.runner": _found_unittest}
    for name in list(hooks):
        if name in sys.modules:  # imported by another .pth or sitecustomize before us
            hooks.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _Finder(hooks))


def _found_pytest(_module):
    if os.environ.get("LEARND_REPORT_DIR"):
        ask_pytest()


def _found_unittest(module):
    from learnd_unittest_reporter import patch_runner

    patch_runner(module)


def ask_pytest():
    """Have the next pytest of this process, or of a child that starts now, load our plugin."""
    options = os.environ.get("PYTEST_ADDOPTS", "")
    if _order and _order[0] is not None:
        os.environ["LEARND_ORDER_SEED"] = str(_order[0])
    if not options.startswith(PLUGIN_OPTION):
        os.environ["PYTEST_ADDOPTS"] = (PLUGIN_OPTION + " " + options).strip()


def withdraw_from_pytest():
    """Take the option back: pytest has read it, and the tests get the environment the run had."""
    options = os.environ.get("PYTEST_ADDOPTS")
    if options is not None and options.startswith(PLUGIN_OPTION):
        rest = options[len(PLUGIN_OPTION) :].strip()
        if rest:
            os.environ["PYTEST_ADDOPTS"] = rest
        else:
            del os.environ["PYTEST_ADDOPTS"]
