"""The author's side: lessons become notebooks, labs and solutions, and are held to the rules."""
