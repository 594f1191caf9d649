"""What plugins store for each tenant: the scope, tenant-bound models, and export, purge and adoption of their rows."""
