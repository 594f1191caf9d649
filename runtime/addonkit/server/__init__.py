"""Serving: sockets, TLS, HTTP servers, and processes that are started, supervised and shut down.

``serve`` runs one process. ``supervisor`` runs several of them; ``worker_process`` represents one of these.
"""

from addonkit.pinned import require_version

require_version("hypercorn", "0.18.0", because="its protocol classes without its server loop")
