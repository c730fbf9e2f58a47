"""The dashboard: pages over a study. It shows what `core` computed and does no mathematics."""
