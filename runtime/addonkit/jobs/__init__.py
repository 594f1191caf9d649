"""The job queue: a table in the database, from which workers lease jobs and run each at least once."""
