"""Analytics: visits, marketing consents and the suppression list, in Parquet files read through DuckDB."""
