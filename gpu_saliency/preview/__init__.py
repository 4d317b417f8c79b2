"""Shows saliency and plan of a clip or a live source in a file, the terminal or a browser."""
