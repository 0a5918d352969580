"""Payments: an adapter to the payment processor's HTTP API; the data is the processor's to store."""
