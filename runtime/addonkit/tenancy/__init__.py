"""Sites that installed the add-on: records, history, the directory in memory, and their secrets at rest."""
