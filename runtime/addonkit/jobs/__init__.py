"""Work in the background: kept in the database, run by any process of the deployment, at least once."""
