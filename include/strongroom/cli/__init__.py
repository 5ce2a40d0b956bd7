"""`strongroom`, the command line: what the pipelines do, without Airflow."""
