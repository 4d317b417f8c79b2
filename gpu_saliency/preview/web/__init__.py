"""The preview in a browser: a small web server for one clip or live source, and its page."""
