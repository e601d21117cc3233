"""Measured ratios: what learnd costs beside what it could cost. `python -m bench [ROW…]` prints and keeps them."""
