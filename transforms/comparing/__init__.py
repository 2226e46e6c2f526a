"""Two sets of rows held to each other by value, as they are: nothing is mapped, and a key may have several rows."""
