"""The loss landscape around a model: directions, slices, sharpest directions and paths."""
