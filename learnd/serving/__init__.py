"""Reaching the agents: active patterns found by words, shown with their evidence, and the record of their use.

Agents see active patterns and nothing else, and only while their file is what was judged.
"""
