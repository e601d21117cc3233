"""The pytest side: a plugin that names every test, its outcome and the kind of its failure.

It is loaded through PYTEST_ADDOPTS, set in the process that imports pytest and taken back when pytest has read it. With
xdist the workers mark what failed how, and the controller, which hears of every test, writes.

PYTEST_DONT_REWRITE: nothing is asserted here, and the warning that it cannot be rewritten would fail projects that
turn warnings into errors.
"""

import unittest.case  # noqa: F401 - so that it is known as it was before the tests import it

import pytest
from learnd_reporter import (
    MESSAGE_MAX,
    Original,
    ask_pytest,
    claim,
    failure,
    order_seed,
    shuffled,
    withdraw_from_pytest,
)

RUNNER = (
    "_pytest.outcomes",
    "_pytest.python",
    "_pytest.python_api",
    "_pytest.raises",
    "_pytest.reports",
    "_pytest.runner",
    "_pytest.unittest",
    "unittest.case",
)
"""Where it is decided whether a test passed."""

_marking = []
_ordering = []


def pytest_configure(config):
    withdraw_from_pytest()
    if not _marking:
        _marking.append(True)
        config.pluginmanager.register(Marker())  # without a name: settings cannot turn it off by one
    if order_seed() is not None:
        _ordering.append(True)
        config.pluginmanager.register(Order(order_seed()))
    if not hasattr(config, "workerinput"):
        report = claim("pytest", pytest.__version__)
        if report is not None:
            config.pluginmanager.register(Reporter(report))


class Marker:
    """Puts on reports, where the exception itself is at hand: on failing ones kind, symbol and message; on passing ones
    how often the test failed before (a plug-in ran it again); on all what of the runner was replaced.
    """

    def __init__(self):
        self.failures = {}
        self.original = Original(RUNNER)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        outcome = yield
        report = outcome.get_result()
        if report.failed:
            self.failures[item.nodeid] = self.failures.get(item.nodeid, 0) + 1
            if call.excinfo is not None:
                report.learnd = failure(call.excinfo.value, "call" if report.when == "call" else "setup")
        elif item.nodeid in self.failures:
            report.learnd_failures = self.failures[item.nodeid]
        replaced = self.original.replaced()
        if replaced:
            report.learnd_patched = replaced

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector):
        outcome = yield
        report = outcome.get_result()
        call = getattr(report, "call", None)
        if report.failed and call is not None and call.excinfo is not None:
            report.learnd = failure(call.excinfo.value, "collection")


class Order:
    """Runs the tests in another order: modules, classes within them, tests within these, so that fixtures of a module
    or a class are still set up once.
    """

    def __init__(self, seed):
        self.seed = seed

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items[:] = self._mixed(items, 0)

    def _mixed(self, items, depth):
        groups = {}
        for item in items:
            chain = item.listchain()
            groups.setdefault(chain[depth] if depth < len(chain) else None, []).append(item)
        if len(groups) == 1 and None in groups:
            return items
        return [item for group in shuffled(groups.values(), self.seed) for item in self._mixed(group, depth + 1)]


class Reporter:
    """Writes one line for each phase of each test, and the end."""

    def __init__(self, report):
        self.report = report
        self.patched = set()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self):
        ask_pytest()  # workers are about to start: each reads the option, and takes it back in its own process

    def pytest_collection_finish(self, session):
        if _ordering:
            self.report.write({"t": "order", "seed": order_seed()})

    def pytest_runtest_logreport(self, report):
        self._write(report, report.when, hasattr(report, "wasxfail"))
        self.patched.update(getattr(report, "learnd_patched", ()))

    def pytest_collectreport(self, report):
        if report.failed:
            self._write(report, "collection", False)

    def _write(self, report, phase, xfail):
        entry = {"t": "test", "id": report.nodeid, "phase": phase, "outcome": report.outcome, "xfail": xfail}
        if getattr(report, "learnd_failures", 0):
            entry["retried"] = report.learnd_failures
        if report.failed:
            plain = {"kind": "assertion" if phase == "call" else "setup", "symbol": None, "message": ""}
            if phase == "collection":
                plain["kind"] = "collection"
            entry.update(getattr(report, "learnd", None) or plain)
            if not entry["message"]:  # a failure no exception tells of: a strict xfail, a crashed worker
                crash = getattr(report.longrepr, "reprcrash", None)
                entry["message"] = str(crash.message if crash else report.longrepr)[:MESSAGE_MAX]
        self.report.write(entry)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session, exitstatus):
        self.report.patched(self.patched)
        self.report.write({"t": "end", "exit": int(exitstatus), "collected": session.testscollected})
