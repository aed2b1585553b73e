"""Models, their prices, the calls made to them and the records of these. Not how a provider is spoken to."""
