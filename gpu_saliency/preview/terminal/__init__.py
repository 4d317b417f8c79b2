"""The preview in a terminal: two pictures of coloured half blocks, with text below."""
