"""Grouped validation: runs that touch one service within a window are validated together, as one change."""
