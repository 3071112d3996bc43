"""How good models are: predictions on labelled data to figures, and a report that shows them."""
