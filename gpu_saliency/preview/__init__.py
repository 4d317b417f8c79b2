"""Shows the saliency and the plan of a clip or a live source: in a file, in the terminal or in a browser."""
