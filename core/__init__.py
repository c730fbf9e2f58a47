"""The engine: curvature factors of a language model, edits along them, and what they change.

One direction only: projection -> factors -> basis -> edit -> measures -> study. Nothing on the
left imports anything on its right. ``core/README.md`` explains the methods and the conventions.
"""
