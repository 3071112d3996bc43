"""Models, data and training, in torch."""
