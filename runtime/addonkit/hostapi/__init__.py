"""Host calls: REST requests from the add-on to a site, checked, rate-limited, signed and retried.

A call passes each layer once: ``host`` (what plugins hold; builds a ``call`` and checks its scope), ``retry`` (waits
for the site's ``rate_limit``, retries, follows redirects), ``signing`` (adds the token; pauses calls whose scope is
missing, see ``approvals``) and ``transport`` (httpx). ``client`` creates these parts once per process. ``paging``,
``permissions``, ``properties``, ``users``, ``downloads`` and ``attachments`` are built on single calls.
"""
