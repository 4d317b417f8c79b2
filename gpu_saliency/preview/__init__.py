"""Shows a clip's saliency and plan: as a file, in the terminal, in the browser; of files and of live sources."""
