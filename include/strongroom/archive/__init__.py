"""Archives: rows past their time leave the database for sealed Parquet files, and are found there again."""
