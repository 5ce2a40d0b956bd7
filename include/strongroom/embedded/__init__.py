"""Everything that `make up` runs on one machine: PostgreSQL, S3, Airflow, and a sample shop to protect."""
