"""What keeps active patterns true: they go stale when the code moves on, and are verified again in it."""

REVERIFIED = "reverified"
"""The folder of the state directory that takes logs and attestations of patterns verified again, one folder each."""
