"""Looking at what the model finds and at the plan that follows: in a file, in the terminal, in the browser."""
