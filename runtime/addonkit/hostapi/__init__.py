"""Calls to the host: signed for what is sent, within scopes and limits, as the add-on or as a user.

``site`` is what plugins hold and ``client`` what this process has; ``target`` keeps a call on its site, ``clearance``
holds it against scopes, ``limits`` lets it wait for its turn, ``sending`` and ``wire`` send it. What is made of single
calls (lists, permissions, properties, users) stands beside them.
"""
