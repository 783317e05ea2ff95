"""What lasts: tables, migrations and repositories, for SQLite and PostgreSQL alike."""
