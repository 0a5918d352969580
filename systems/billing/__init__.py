"""Billing: accounts and invoices, in a PostgreSQL database of its own."""
