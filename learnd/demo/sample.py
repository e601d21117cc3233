"""The sample: a small shop in SQLite with a real defect, and the change that mends it.

`totals` and `receipts` ask the database once for every order. The change asks once, adds tests that count the
queries SQLite really ran, and adds an index which no test exercises: what nobody exercised no pattern may claim.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

TASK = "orders-page-is-slow"
TITLE = "Fix the slow orders page"

PROMPT = """\
# The orders page gets slower with every order

`totals` and `receipts` in shop/orders.py run a query for each order, so a page over n orders costs n + 1 queries.

## Acceptance criteria

- Both take one query, however many orders there are.
- An order without items still costs 0 and still gets its line.
"""

_BEFORE = {
    ".gitignore": "__pycache__/\n",
    "README.md": "# shop\n\nA sample made by `learnd demo`.\n",
    "shop/__init__.py": "",
    "shop/schema.py": '''\
"""The shop's tables."""

import sqlite3

SCHEMA = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL);
CREATE TABLE items (order_id INTEGER NOT NULL REFERENCES orders, name TEXT NOT NULL, cents INTEGER NOT NULL);
"""


def open_shop(path=":memory:"):
    shop = sqlite3.connect(path)
    shop.executescript(SCHEMA)
    return shop
''',
    "shop/orders.py": '''\
"""Orders: placing them, what they cost, what was bought."""


def place(shop, customer, items):
    """Store an order of (name, cents) pairs. Returns its id."""
    order = shop.execute("INSERT INTO orders (customer) VALUES (?)", (customer,)).lastrowid
    shop.executemany("INSERT INTO items VALUES (?, ?, ?)", [(order, name, cents) for name, cents in items])
    return order


def totals(shop):
    """What every order costs, in cents, by its id."""
    found = {}
    for (order,) in shop.execute("SELECT id FROM orders").fetchall():
        query = "SELECT sum(cents) FROM items WHERE order_id = ?"
        found[order] = shop.execute(query, (order,)).fetchone()[0] or 0
    return found


def euros(cents):
    """An amount as people write it."""
    return f"{cents / 100:.2f} EUR"


def receipts(shop):
    """A line an order: who bought what."""
    lines = []
    for order, customer in shop.execute("SELECT id, customer FROM orders").fetchall():
        query = "SELECT name FROM items WHERE order_id = ?"
        names = [name for (name,) in shop.execute(query, (order,))]
        lines.append(f"{customer}: {', '.join(names)}")
    return lines
''',
    "tests/__init__.py": "",
    "tests/test_orders.py": """\
import unittest

from shop.orders import place, receipts, totals
from shop.schema import open_shop


class Orders(unittest.TestCase):
    def setUp(self):
        self.shop = open_shop()
        self.addCleanup(self.shop.close)

    def test_totals(self):
        first = place(self.shop, "Ada", [("tea", 250), ("cake", 400)])
        second = place(self.shop, "Bo", [])
        self.assertEqual(totals(self.shop), {first: 650, second: 0})

    def test_receipts(self):
        place(self.shop, "Ada", [("tea", 250), ("cake", 400)])
        place(self.shop, "Bo", [])
        self.assertEqual(receipts(self.shop), ["Ada: tea, cake", "Bo: "])
""",
}

_EDITS = (
    (
        "shop/schema.py",
        "cents INTEGER NOT NULL);\n",
        "cents INTEGER NOT NULL);\nCREATE INDEX items_of_order ON items (order_id);\n",
    ),
    (
        "shop/orders.py",
        """\
    found = {}
    for (order,) in shop.execute("SELECT id FROM orders").fetchall():
        query = "SELECT sum(cents) FROM items WHERE order_id = ?"
        found[order] = shop.execute(query, (order,)).fetchone()[0] or 0
    return found
""",
        """\
    return dict(
        shop.execute(
            "SELECT orders.id, coalesce(sum(items.cents), 0) FROM orders "
            "LEFT JOIN items ON items.order_id = orders.id GROUP BY orders.id"
        )
    )
""",
    ),
    (
        "shop/orders.py",
        """\
    lines = []
    for order, customer in shop.execute("SELECT id, customer FROM orders").fetchall():
        query = "SELECT name FROM items WHERE order_id = ?"
        names = [name for (name,) in shop.execute(query, (order,))]
        lines.append(f"{customer}: {', '.join(names)}")
    return lines
""",
        """\
    bought = {}
    for order, customer, name in shop.execute(
        "SELECT orders.id, customer, name FROM orders "
        "LEFT JOIN items ON items.order_id = orders.id ORDER BY orders.id, items.rowid"
    ):
        bought.setdefault((order, customer), []).extend([name] if name else [])
    return [f"{customer}: {', '.join(names)}" for (_, customer), names in bought.items()]
""",
    ),
    (
        "tests/test_orders.py",
        """\
        self.assertEqual(receipts(self.shop), ["Ada: tea, cake", "Bo: "])
""",
        """\
        self.assertEqual(receipts(self.shop), ["Ada: tea, cake", "Bo: "])

    def queries_for(self, ask, orders):
        for number in range(orders):
            place(self.shop, f"customer {number}", [("tea", 250)])
        queries = []
        self.shop.set_trace_callback(queries.append)
        ask(self.shop)
        self.shop.set_trace_callback(None)
        return len(queries)

    def test_totals_take_one_query(self):
        self.assertEqual(self.queries_for(totals, orders=20), 1)

    def test_receipts_take_one_query(self):
        self.assertEqual(self.queries_for(receipts, orders=20), 1)
""",
    ),
)

DEFECT = "shop/orders.py"
TEST_ARGUMENTS = ("-m", "unittest", "tests.test_orders")


def build(repo: Path) -> None:
    """Make the repository with the defect in it, committed. `repo` must not exist yet."""
    for name, text in _BEFORE.items():
        file = repo / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    git(repo, "init", "-q", "-b", "main")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "Open the shop")


def mend(repo: Path) -> None:
    """What the agent does in its run: edit files of the work tree. Nothing is committed."""
    for name, before, after in _EDITS:
        file = repo / name
        text = file.read_text()
        if text.count(before) != 1:
            raise AssertionError(f"the sample's {name} is not what its edits were made for")
        file.write_text(text.replace(before, after))


def defect(repo: Path) -> str:
    """The function that queries once a row, as it stands in the base."""
    text = (repo / DEFECT).read_text()
    start = text.index("def totals")
    return text[start : text.index("\n\n\n", start)]


def git(repo: Path, *arguments: str) -> str:
    """Run git in the sample, untouched by the user's configuration, hooks and signing."""
    who = {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in _PERSON}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ.get("PATH", os.defpath)}
    done = subprocess.run(
        ["git", "-C", str(repo), *arguments], env={**alone, **who}, capture_output=True, text=True, check=True
    )
    return done.stdout


_PERSON = (("NAME", "learnd demo"), ("EMAIL", "demo@localhost"))
