"""Snapshots of what an agent did: taken from the live tree, kept in learnd's own repository, exact."""
