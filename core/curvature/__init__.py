"""The curvature of single examples: maps, exact checks, own sharp directions, and what they tell.

An *example* (`core.curvature.examples`) is a text and those of its positions whose predictions
count. All curvatures are per counted token. ``core/README.md`` explains the measures.
"""
