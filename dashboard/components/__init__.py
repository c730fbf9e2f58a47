"""Components that move in the browser while the hand does."""
