"""The verbs as they are typed: a function each, no logic. What it does is in `learnd.verbs`, imported when typed."""
