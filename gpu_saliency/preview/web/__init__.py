"""The preview in a browser: a small server for one clip, and its page."""
