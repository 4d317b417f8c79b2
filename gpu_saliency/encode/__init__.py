"""The encode: checks the settings, passes the plan to the encoder through a channel, joins the parts and verifies the file."""
