"""Who is speaking: from a credential to a ``Context``, or a refusal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from addonkit.context import Context, Proof
from addonkit.descriptor.variables import VARIABLES
from addonkit.edge.credentials import Credential, Place, find_credential
from addonkit.edge.request import FormBody, InboundRequest
from addonkit.errors import SignatureInvalid, TenantUnknown, TokenInvalid
from addonkit.licensing import licence_in_claim, licence_in_query
from addonkit.protocol.canonical import CONTEXT_QSH, query_matches
from addonkit.protocol.sessions import Sessions
from addonkit.protocol.tokens import Claims, peek, verify
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.record import TenantRecord

PARAMETERS = {variable: name for name, variable in VARIABLES.items()}
NO_NAMES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Turns credentials into contexts.

    Attributes:
        directory: Sites by client key.
        sessions: Our own page tokens.
        addon_key: The add-on's key, which tokens may name as their audience.
        base_url: The add-on's base URL, likewise.
        leeway_s: How far the host's clock may be off, in seconds.
        filled: By path, the parameter names that the host fills on that page.
        now: Unix time in seconds.
    """

    directory: Directory
    sessions: Sessions
    addon_key: str
    base_url: str
    leeway_s: int
    filled: Mapping[str, frozenset[str]]
    now: Callable[[], float] = time.time

    async def context(self, request: InboundRequest, credential: Credential, form: FormBody | None = None) -> Context:
        """What this request was proven to be about.

        Args:
            request: As it came.
            credential: The one that it carries.
            form: The body, where the host may have signed a form in place of a query; read only if it must be.

        Raises:
            TokenInvalid: The credential is false, expired, foreign or not for this request.
            TenantUnknown: Its site is not installed, or is switched off.
            PayloadTooLarge: The form is longer than 64 KB.
        """
        if credential.place is Place.SESSION:
            return await self._by_session(request, credential.token)
        record, claims = await self.verified(credential)
        if claims.qsh == CONTEXT_QSH:
            return self._by_context(credential, record, claims)
        return self._by_exact_query(request, record, claims, await _signed_fields(request, claims, form))

    async def verified(self, credential: Credential) -> tuple[TenantRecord, Claims]:
        """The site whose secret signed a token of the host's, and what the token says."""
        seen = peek(credential.token)
        record = await self.active(seen.issuer)
        try:
            return record, self.verify_with(credential.token, record.secret, record)
        except SignatureInvalid:
            return await self._with_another_secret(credential, record)

    async def active(self, client_key: str) -> TenantRecord:
        """A site whose pages are served.

        Raises:
            TenantUnknown: There is none by this client key, or it is switched off.
        """
        record = await self.directory.get(client_key)
        if record is not None and not record.tenant.is_active():
            # another process may have been told that it is back
            record = await self.directory.reread(client_key)
        if record is None:
            raise TenantUnknown(f"no site '{client_key}' has installed the add-on")
        if not record.tenant.is_active():
            raise TenantUnknown(f"the site '{client_key}' is {record.tenant.state}")
        return record

    async def _with_another_secret(self, credential: Credential, record: TenantRecord) -> tuple[TenantRecord, Claims]:
        """Try the former secret on a page opened before the change, then the row again: another process may know."""
        former = record.former_secret
        if former is not None and credential.place is Place.QUERY and self.now() < record.former_until:
            try:
                return record, self.verify_with(credential.token, former, record)
            except SignatureInvalid:
                pass
        fresh = await self.directory.reread(record.tenant.client_key)
        if fresh is None or fresh.secret == record.secret or not fresh.tenant.is_active():
            raise TokenInvalid(
                f"the token is not signed with the secret of '{record.tenant.client_key}'", kind="signature"
            )
        return fresh, self.verify_with(credential.token, fresh.secret, fresh)

    def verify_with(self, token: str, secret: bytes, record: TenantRecord) -> Claims:
        """What a token of a site's says, if this secret of its own signed it."""
        client_key = record.tenant.client_key
        audiences = frozenset({self.base_url, self.addon_key, client_key})
        return verify(
            token, secret, "HS256", issuer=client_key, audiences=audiences, now=self.now(), leeway_s=self.leeway_s
        )

    def _by_exact_query(self, request: InboundRequest, record: TenantRecord, claims: Claims, signed: str) -> Context:
        sent: dict[str, list[str]] = {}
        # the hash has shown that it is UTF-8
        text = signed if signed.isascii() else signed.encode("latin-1").decode()
        for name, value in parse_qsl(text, keep_blank_values=True):
            sent.setdefault(name, []).append(value)
        # a name that the descriptor does not declare for this page was put there by somebody else than the host
        declared = self.filled.get(request.path, NO_NAMES)
        objects = {name: sent[name][0] for name in declared & sent.keys() if len(sent[name]) == 1 and sent[name][0]}
        return Context(record.tenant, claims.subject, licence_in_query(sent.get("lic", ())), objects, Proof.EXACT)

    def _by_context(self, credential: Credential, record: TenantRecord, claims: Claims) -> Context:
        if credential.place is Place.QUERY:
            raise TokenInvalid("a context token stands in the query, expected in 'Authorization: JWT …'")
        objects = dict(_objects(claims.context))
        return Context(record.tenant, claims.subject, licence_in_claim(claims.context), objects, Proof.CONTEXT)

    async def _by_session(self, request: InboundRequest, token: str) -> Context:
        page = self.sessions.read(token, now=self.now())
        record = await self.active(page.client_key)
        if not request.path.startswith(f"/{page.plugin}/"):
            raise TokenInvalid(f"a session of the plugin '{page.plugin}' was sent to another place")
        return Context(record.tenant, page.account_id, page.licence, page.objects, Proof.SESSION)


async def _signed_fields(request: InboundRequest, claims: Claims, form: FormBody | None) -> str:
    """The query that the host signed with this method and path, or the form that it signed in place of one.

    Source: where parameters travel in the body of a POST or PUT, the host may hash them as if they were the query.
    """
    if claims.qsh is not None:
        if query_matches(claims.qsh, request.method, request.path, request.query):
            return request.query
        if form is not None:
            fields = await form.read()
            if find_credential(fields, []) is not None:
                raise TokenInvalid("the form carries a credential beside the header's, expected one in one place")
            if query_matches(claims.qsh, request.method, request.path, form=fields):
                return fields
    raise TokenInvalid(f"the query hash of '{claims.issuer}' does not fit this method, path and query", kind="query")


def claimed_site(request: InboundRequest) -> str | None:
    """The client key that a refused request names, for the log: nothing has shown that it is true."""
    try:
        credential = find_credential(request.query, request.headers)
        if credential is None or credential.place is Place.SESSION:
            return None
        return peek(credential.token).issuer
    except TokenInvalid:
        return None


def _objects(context: Mapping[str, object]) -> list[tuple[str, str]]:
    """The host's objects in a ``context`` claim, by parameter name.

    Source: ``context.jira.issue.id``, ``context.jira.project.key``, ``context.confluence.content.id`` and the like.
    """
    found: list[tuple[str, str]] = []
    for product in ("jira", "confluence"):
        tree = context.get(product)
        if isinstance(tree, Mapping):
            found += _leaves(tree, "")
    return [(PARAMETERS[variable], value) for variable, value in found if variable in PARAMETERS]


def _leaves(tree: Mapping[str, object], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in tree.items():
        if isinstance(value, Mapping) and prefix.count(".") < 3:
            found += _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            found.append((f"{prefix}{name}", str(value)))
    return found
