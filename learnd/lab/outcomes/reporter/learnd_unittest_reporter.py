"""The unittest side: the first TextTestRunner of the process reports through the result object it makes.

The result keeps its class; only its `add…` methods are wrapped on the one object, so results that tests make for
themselves say nothing. Django's and other runners that build on TextTestRunner are covered.
"""

import sys
import traceback

from learnd_reporter import MESSAGE_MAX, Original, claim, describe, failure, order_seed, shuffled


def patch_runner(module):
    """Called when unittest.runner is imported."""
    original = module.TextTestRunner.run
    original_code = Original(("unittest.case",))

    def run(self, test):
        # The tests are loaded by now, and what they import with them: `original_code` is of before that.
        report = claim("unittest", sys.version.split()[0])
        if report is None:
            return original(self, test)
        seed = order_seed()
        if seed is not None and _mix(test, seed):
            report.write({"t": "order", "seed": seed})
        make = self._makeResult
        patched = set()

        def make_result():
            return _observed(make(), report, original_code, patched)

        self._makeResult = make_result
        try:
            result = original(self, test)
        finally:
            del self._makeResult
        report.patched(patched.union(original_code.replaced()))
        report.write({"t": "end", "exit": 0 if result.wasSuccessful() else 1, "collected": result.testsRun})
        return result

    module.TextTestRunner.run = run


def _mix(suite, seed):
    """Shuffle a suite at every level: what is of one class or module stays together. False where there is no suite."""
    tests = getattr(suite, "_tests", None)
    if not isinstance(tests, list):
        return False
    tests[:] = shuffled(tests, seed)
    for test in tests:
        _mix(test, seed)
    return True


def _observed(result, report, original_code, patched):
    def say(test, outcome, **more):
        entry = {"t": "test", "id": _id(test), "phase": "call", "outcome": outcome, "xfail": False}
        entry.update(more)
        report.write(entry)
        patched.update(original_code.replaced())

    def wrap(name, speak):
        method = getattr(result, name, None)
        if method is None:
            return

        def observed(test, *arguments, **named):
            speak(test, *arguments)
            return method(test, *arguments, **named)

        setattr(result, name, observed)

    def failed(test, error):
        phase = _phase(test, error)
        say(test, "failed", phase=phase, **_told(test, error, phase))

    wrap("addSuccess", lambda test: say(test, "passed"))
    wrap("addFailure", failed)
    wrap("addError", failed)
    wrap("addSkip", lambda test, reason: say(test, "skipped"))
    wrap("addExpectedFailure", lambda test, error: say(test, "skipped", xfail=True))
    unexpected = {"kind": "assertion", "symbol": None, "message": "an expected failure passed"}
    wrap("addUnexpectedSuccess", lambda test: say(test, "failed", **unexpected))
    wrap("addSubTest", lambda test, subtest, error: error and failed(subtest, error))
    return result


def _id(test):
    try:
        return str(test.id())
    except AttributeError:
        return str(test)


def _phase(test, error):
    """Where it failed: importing the module, a fixture (unittest calls them by name), or the test itself."""
    if type(test).__name__ in ("_FailedTest", "ModuleImportFailure", "LoadTestsFailure"):
        return "collection"
    if type(test).__name__ == "_ErrorHolder":
        return "setup"
    names = [frame.name for frame in traceback.extract_tb(error[2])]
    fixtures = {"_callSetUp", "_callTearDown", "_callCleanup", "setUp", "tearDown", "setUpClass", "setUpModule"}
    return "setup" if fixtures & set(names[:4]) else "call"


def _told(test, error, phase):
    told = failure(error[1], phase)
    if phase == "collection":
        # unittest keeps only the text of what happened; the last line names the exception
        lines = [line for line in str(error[1]).splitlines() if line.strip()]
        last = lines[-1].strip() if lines else ""
        told = failure(_like(last), "collection")
        told["message"] = last[:MESSAGE_MAX] or describe(error[1])
    return told


def _like(last):
    """An exception like the one whose last traceback line this is: only names that classify looks for."""
    name, _, text = last.partition(": ")
    known = {kind.__name__: kind for kind in (ImportError, ModuleNotFoundError, NameError, AttributeError)}
    return known.get(name, RuntimeError)(text)
