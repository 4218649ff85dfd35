"""The embedded dataset: small pictures whose conditional distribution is known."""
