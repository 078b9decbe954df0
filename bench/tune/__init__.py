"""The search for recipes: the same number of trials for every method that trains, on rows held out of training."""
