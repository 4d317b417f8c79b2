"""The preview in a terminal: two pictures in coloured half blocks, with text below."""
