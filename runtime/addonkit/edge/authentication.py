"""Authentication: verifies the credential of a request and returns its ``Context``, or refuses the request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from addonkit.context import Context, Licence, Proof, Tenant, TenantState
from addonkit.descriptor.variables import VARIABLES, malformed_id
from addonkit.edge.credentials import Credential, Place, find_credential
from addonkit.edge.request import FormBody, InboundRequest
from addonkit.edge.sightings import Sightings
from addonkit.errors import RequestMalformed, SignatureInvalid, TenantUnknown, TokenInvalid
from addonkit.licensing import licence_in_claim, licence_in_query
from addonkit.protocol.canonical import CONTEXT_QSH, query_fields, query_matches
from addonkit.protocol.sessions import Sessions
from addonkit.protocol.tokens import Claims, peek, verify
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.record import IdentityKind, TenantRecord
from addonkit.text import shortened, well_formed

PARAMETERS = {variable: name for name, variable in VARIABLES.items()}
NO_NAMES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """Verifies credentials: tokens of the host and the add-on's own sessions.

    Attributes:
        directory: In-memory cache of tenants.
        sessions: Verifies the add-on's own sessions.
        audiences: Valid audiences of tokens: the add-on's key and its base URLs; each site's client key is another.
        leeway_s: Tolerated difference between the clocks of host and add-on, in seconds.
        host_parameters: By path, the query parameters whose values the host fills in.
        sightings: Records what a valid token proves about the state of its site; None records nothing.
        now: Returns the Unix time, in seconds.
    """

    directory: Directory
    sessions: Sessions
    audiences: frozenset[str]
    leeway_s: int
    host_parameters: Mapping[str, frozenset[str]]
    sightings: Sightings | None = None
    now: Callable[[], float] = time.time

    async def authenticate(
        self, request: InboundRequest, credential: Credential, form: FormBody | None = None
    ) -> Context:
        """Verify the credential of a request and return its context.

        Args:
            request: The request.
            credential: Its credential.
            form: The body, if the host may have signed a form in place of the query; it is read only if necessary.

        Raises:
            TokenInvalid: The credential is malformed, expired, signed with another key, or not for this request.
            TenantUnknown: Its site is unknown, disabled or uninstalled.
            RequestMalformed: A signed id cannot be an id.
            PayloadTooLarge: The form is larger than 64 KB.
            PayloadOverdue: The form did not arrive in time.
        """
        if credential.place is Place.SESSION:
            return await self._session_context(request, credential.token)
        record, claims = await self.verify_token(credential)
        if claims.qsh == CONTEXT_QSH:
            context = self._page_context(credential, record, claims)
        else:
            context = self._exact_context(request, record, claims, await _signed_query(request, claims, form))
        if self.sightings is None:
            return context
        tenant = await self.sightings.record(record, claims.issued_at)
        return context if tenant is record.tenant else replace(context, tenant=tenant)

    async def verify_token(self, credential: Credential) -> tuple[TenantRecord, Claims]:
        """Verify a token of the host with the shared secret of its site; return the tenant and the claims.

        The tenant may be disabled or gone if sightings are recorded.
        """
        seen = peek(credential.token)
        record = await self.known_tenant(IdentityKind.CLIENT_KEY, seen.issuer)
        if not record.tenant.is_active():
            return record, self._verify_inactive(credential.token, record, seen.issuer)
        try:
            return record, self.verify_with_secret(credential.token, record.secret, record)
        except SignatureInvalid:
            return await self._verify_with_other_secrets(credential, record)

    def recognised(self, request: InboundRequest, credential: Credential) -> Tenant | None:
        """Return the site that signed exactly this request, by what was last known of it, without the database.

        The site may have been disabled and its secret replaced since: this is no authentication.

        Raises:
            TokenInvalid: The token is not signed with the last known secret, or is invalid for another reason.
        """
        record = self.directory.last_known(peek(credential.token).issuer)
        if record is None:
            return None
        claims = self.verify_with_secret(credential.token, record.secret, record)
        is_exact = claims.qsh is not None and query_matches(claims.qsh, request.method, request.path, request.query)
        return record.tenant if is_exact else None

    async def active_tenant(self, kind: IdentityKind, value: str) -> TenantRecord:
        """Return the tenant of an enabled site.

        Args:
            kind: The kind of the name: the client key for tokens of the host, the key for sessions.
            value: The name.

        Raises:
            TenantUnknown: No site with this name is known, the site is disabled or uninstalled, or its secret is lost.
        """
        record = await self.known_tenant(kind, value)
        if not record.tenant.is_active():
            raise _inactive(record, value)
        return record

    async def known_tenant(self, kind: IdentityKind, value: str) -> TenantRecord:
        """Return a tenant in any state.

        Raises:
            TenantUnknown: No site with this name is known, or its secret is lost.
        """
        record = await self.directory.get(kind, value)
        if record is not None and not record.tenant.is_active():
            # Another process may have enabled it since.
            record = await self.directory.reread(kind, value)
        if record is None:
            raise TenantUnknown(f"no site '{value}' has installed the add-on")
        if record.tenant.is_active() and record.secret is None and record.tenant.connect_key is not None:
            raise TenantUnknown(f"the shared secret of the site '{value}' is lost; install the add-on there again")
        return record

    def _verify_inactive(self, token: str, record: TenantRecord, client_key: str) -> Claims:
        """Verify a token of a disabled or gone site, which may prove that it is not; refuse any other inactive site.

        Raises:
            TenantUnknown: The site is uninstalled, or the token is invalid.
        """
        if self.sightings is not None and record.tenant.state in (TenantState.DISABLED, TenantState.GONE):
            try:
                return self.verify_with_secret(token, record.secret, record)
            except TokenInvalid:
                pass
        raise _inactive(record, client_key)

    async def _verify_with_other_secrets(
        self, credential: Credential, record: TenantRecord
    ) -> tuple[TenantRecord, Claims]:
        """Verify a token that the cached secret did not sign.

        For some minutes after a change of the secret, the former one is accepted in a page's URL. Otherwise the tenant
        is read again from the database, because another process may have stored a new secret.
        """
        former = record.former_secret
        if former is not None and credential.place is Place.QUERY and self.now() < record.former_until:
            try:
                return record, self.verify_with_secret(credential.token, former, record)
            except SignatureInvalid:
                pass
        fresh = await self.directory.reread(IdentityKind.KEY, record.tenant.key)
        if fresh is None or fresh.secret == record.secret or not fresh.tenant.is_active():
            raise TokenInvalid(f"the token is not signed with the secret of '{record.tenant.key}'", kind="signature")
        return fresh, self.verify_with_secret(credential.token, fresh.secret, fresh)

    def verify_with_secret(self, token: str, secret: bytes | None, record: TenantRecord) -> Claims:
        """Verify a token of a site with one of its secrets and return the claims.

        Raises:
            TokenInvalid: The token is invalid, or the tenant has no secret, so that no HS256 token is valid for it.
            SignatureInvalid: The token is not signed with this secret.
        """
        client_key = record.tenant.connect_key
        if secret is None or client_key is None:
            raise TokenInvalid(
                f"the token is signed with a shared secret, and '{record.tenant.key}' has none", kind="signature"
            )
        return verify(
            token,
            secret,
            "HS256",
            issuer=client_key,
            audiences=(client_key, *self.audiences),
            now=self.now(),
            leeway_s=self.leeway_s,
        )

    def _exact_context(self, request: InboundRequest, record: TenantRecord, claims: Claims, signed: str) -> Context:
        """Return the context of a token that is signed for exactly this request."""
        if not signed:
            return Context(record.tenant, claims.subject, Licence.UNKNOWN)
        # The host fills in only the parameters that the descriptor declares for this path.
        declared = self.host_parameters.get(request.path, NO_NAMES)
        sent: dict[str, list[str]] = {}
        for name, value in query_fields(signed):
            if name in declared or name == "lic":
                sent.setdefault(name, []).append(well_formed(value))
        objects = {name: sent[name][0] for name in declared & sent.keys() if len(sent[name]) == 1 and sent[name][0]}
        _check_ids(objects)
        return Context(record.tenant, claims.subject, licence_in_query(sent.get("lic", ())), objects, Proof.EXACT)

    def _page_context(self, credential: Credential, record: TenantRecord, claims: Claims) -> Context:
        """Return the context of a context token: a page gets it from the host for its own requests."""
        if credential.place is Place.QUERY:
            raise TokenInvalid("the context token is in the query, expected in 'Authorization: JWT …'")
        objects = dict(_objects_in(claims.context))
        _check_ids(objects)
        return Context(record.tenant, claims.subject, licence_in_claim(claims.context), objects, Proof.CONTEXT)

    async def _session_context(self, request: InboundRequest, token: str) -> Context:
        """Return the context of a session; refuse requests to other plugins than that of its page."""
        page = self.sessions.read(token, now=self.now())
        record = await self.active_tenant(IdentityKind.KEY, page.tenant_key)
        if not request.path.startswith(f"/{page.plugin}/"):
            raise TokenInvalid(f"the session is for the plugin '{page.plugin}', but the request is for another path")
        return Context(record.tenant, page.account_id, page.licence, page.objects, Proof.SESSION, page.endpoint)


def _inactive(record: TenantRecord, name: str) -> TenantUnknown:
    return TenantUnknown(f"the site '{name}' is {record.tenant.state}")


async def _signed_query(request: InboundRequest, claims: Claims, form: FormBody | None) -> str:
    """Verify the query hash (``qsh``); return the query, or the form that the host signed instead of the query.

    Source: for a POST or PUT with a form, the host may compute the hash from the form instead of the query.
    """
    if claims.qsh is not None:
        if query_matches(claims.qsh, request.method, request.path, request.query):
            return request.query
        if form is not None:
            fields = await form.read()
            if find_credential(fields, []) is not None:
                raise TokenInvalid("the form contains a second credential besides the header, expected exactly one")
            if query_matches(claims.qsh, request.method, request.path, form=fields):
                return fields
    raise TokenInvalid(f"the query hash of '{claims.issuer}' does not match this method, path and query", kind="query")


def claimed_tenant(request: InboundRequest) -> str | None:
    """Return the client key that a refused request claims, for the log; it is not verified."""
    try:
        credential = find_credential(request.query, request.headers)
        if credential is None or credential.place is Place.SESSION:
            return None
        return peek(credential.token).issuer
    except TokenInvalid:
        return None


def _check_ids(objects: Mapping[str, str]) -> None:
    """Refuse signed ids that are no ids, before a plugin puts them into a path or a column.

    Raises:
        RequestMalformed: One is too long or no single word.
    """
    if (name := malformed_id(objects)) is not None:
        raise RequestMalformed(
            f"'{name}' is '{shortened(objects[name], 60)}', expected an id of at most 128 characters without "
            "spaces and slashes"
        )


def _objects_in(context: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the values of the host variables in a ``context`` claim, with their parameter names.

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
            found.append((f"{prefix}{name}", well_formed(str(value))))
    return found
