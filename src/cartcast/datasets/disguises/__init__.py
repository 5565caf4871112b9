"""One simulated shop in the form of every tracker and in every accident, with its truth."""
