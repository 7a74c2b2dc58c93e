"""Label errors: find them by what the heatmaps say, show them in a page, and correct them."""
