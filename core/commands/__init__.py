"""Commands of `hillshade` that are too long for `core.cli`."""
