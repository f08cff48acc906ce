"""KnapSpec's knapsack over the losses of the prompt's domain."""
