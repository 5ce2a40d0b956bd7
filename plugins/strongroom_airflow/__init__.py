"""How Airflow drives Strongroom: hooks and operators, thin at each step."""
