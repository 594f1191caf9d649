"""What a deployment may say, table by table. Where it is said is in ``reading``.

The tables of plugins stay raw here: each is checked by its plugin's own model when that plugin is enabled.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from addonkit.protocol.urls import canonical_base_url, is_loopback

LOOPBACK_DOMAINS = ("127.0.0.1", "localhost")

BaseUrl = Annotated[str, Field(max_length=200), AfterValidator(canonical_base_url)]


class Section(BaseModel):
    """One table of the file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Vendor(Section):
    """Who publishes the add-on."""

    name: str
    url: str


class AddonSettings(Section):
    """``[addon]``: what is served, where, and made of which plugins."""

    key: str = Field(pattern=r"^[a-zA-Z0-9-._]+$", max_length=80, description="The add-on's key, never to be changed.")
    name: str = Field(min_length=1, max_length=80, description="Shown to administrators.")
    description: str = Field("", max_length=1000)
    base_url: BaseUrl = Field(description="Where the host reaches the add-on; may have a path; http only for loopback.")
    plugins: list[str] = Field(min_length=1, description="Names of the plugins that are on.")
    required: list[str] = Field([], description="Plugins that are never skipped.")
    on_plugin_error: Literal["stop", "skip"] = "stop"
    licensing: bool = Field(False, description="Whether the host sells licences for the add-on (enableLicensing).")
    vendor: Vendor | None = None

    @field_validator("base_url")
    @classmethod
    def _https_unless_loopback(cls, url: str) -> str:
        if not url.startswith("https://") and not is_loopback(url):
            raise ValueError(f"'{url}' is not https; use https, or http on localhost while developing")
        return url

    @model_validator(mode="after")
    def _required_are_enabled(self) -> Self:
        for name in self.required:
            if name not in self.plugins:
                raise ValueError(f"required names '{name}', which is not in plugins; add it there or drop it here")
        if len(set(self.plugins)) != len(self.plugins):
            raise ValueError("plugins names a plugin twice; name each once")
        return self


class DatabaseSettings(Section):
    """``[database]``: where rows are kept."""

    url: str = Field(
        "sqlite://addonkit.db",
        description="sqlite://<path, relative to the configuration's folder> or postgres://user:password@host/database",
    )
    owner_url: str | None = Field(
        None,
        description="PostgreSQL: role that owns the tables and migrates; without it, no row-level security.",
    )
    pool_size: int = Field(10, ge=2, le=500, description="PostgreSQL: most connections that one process keeps.")


class TenantSettings(Section):
    """``[tenants]``: how long what a site stored is kept, and how many sites are kept in memory."""

    retention_days: int = Field(30, ge=0, le=3650, description="Days from an uninstall until a site's data is purged.")
    purge_hours: int = Field(
        6, ge=0, le=168, description="Hours between purges of sites whose retention has ended; 0: never."
    )
    in_memory: int = Field(
        16_384, ge=64, le=1_000_000, description="Most sites that one process keeps in memory, about 1 KB each."
    )


class HostSettings(Section):
    """``[host]``: the product that installs us, and whom we believe about it."""

    install_keys: list[str] = Field(
        [
            "https://asap-distribution.us-west-2.prod.atl-asap.net",
            "https://connect-install-keys.atlassian.com",
        ],
        min_length=1,
        description="Servers of the keys that sign installations, asked in this order.",
    )
    domains: list[str] = Field(
        ["*.atlassian.net", "*.jira.com"], min_length=1, description="Sites that may install; *. stands for any depth."
    )
    clock_leeway_s: int = Field(30, ge=0, le=120, description="How far the host's clock may be off, in seconds.")
    all_js: str = Field(
        "https://connect-cdn.atl-paas.net/all.js",
        description="The host's JavaScript; a loopback site's own is used while developing.",
    )
    token_server: str | None = Field(
        None, description="Where tokens for acting as users are asked for; by default the one of the site's domain."
    )
    record_calls: str | None = Field(
        None,
        description="File, relative to the configuration's folder, that each kind of call to the host is added to.",
    )


class SecuritySettings(Section):
    """``[security]``: keys that encrypt what is stored."""

    encryption_keys: list[str] = Field([], description="'<id>:<base64 of 32 bytes>'; the first encrypts, all decrypt.")

    @field_validator("encryption_keys")
    @classmethod
    def _usable(cls, keys: list[str]) -> list[str]:
        for place, key in enumerate(keys):
            try:
                parse_key(key)
            except ValueError as wrong:
                raise ValueError(f"entry {place + 1} {wrong}") from None
        return keys


class LogSettings(Section):
    """``[log]``: how much is said, and in what form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"
    access: bool = Field(False, description="Whether each request is logged; never with its query.")


class OperationsSettings(Section):
    """``[operations]``: what operators look at."""

    bind: str | None = Field(None, description="HOST:PORT of a second listener for /healthz, /readyz and /metrics.")
    metrics_token: str | None = Field(
        None,
        min_length=16,
        repr=False,
        description="Opens /metrics on the first listener: 'Authorization: Bearer <token>'.",
    )

    @field_validator("metrics_token")
    @classmethod
    def _fits_a_header(cls, token: str | None) -> str | None:
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError("the token holds a space, or what is no plain ASCII; make one of letters and digits")
        return token


class JobSettings(Section):
    """``[jobs]``: work in the background."""

    in_server: bool = Field(True, description="Whether 'addonkit serve' works too; else 'addonkit work' does alone.")
    concurrency: int = Field(32, ge=1, le=1000, description="Most jobs that run at once in one process.")
    per_tenant: int = Field(8, ge=1, le=1000, description="Most jobs of one site that run at once, in all processes.")
    keep_done_hours: int = Field(
        72, ge=1, le=24 * 365, description="How long done jobs and webhooks are kept; the host's retries end before."
    )
    recover_hours: int = Field(
        6, ge=0, le=24, description="How often Jira sites are asked for webhooks they could not deliver; 0: never."
    )
    intake_rows: int = Field(1000, ge=1, le=100_000, description="Most webhooks that wait to be stored.")
    intake_mb: int = Field(64, ge=26, le=10_000, description="Most megabytes of webhooks that wait to be stored.")


class ServerSettings(Section):
    """``[server]``: how we listen, and what stands between the host and us."""

    tls_certificate: str | None = Field(None, description="PEM file of the certificate and its chain.")
    tls_key: str | None = Field(None, description="PEM file of the certificate's key.")
    trusted_proxies: list[str] = Field([], description="Addresses or networks whose X-Forwarded-For is believed.")
    drain_s: float = Field(
        5.0, ge=0, le=300, description="Seconds between answering 503 at /readyz and closing the listener."
    )
    stop_s: float = Field(30.0, ge=1, le=600, description="Longest time that requests under way get to end.")
    base_path_stripped: bool = Field(False, description="Whether a proxy takes the base URL's path off before us.")

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, names: list[str]) -> list[str]:
        for name in names:
            if name != "unix":
                _check_network(name)
        return names

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            named, other = ("tls_certificate", "tls_key") if self.tls_certificate else ("tls_key", "tls_certificate")
            raise ValueError(f"{named} is there without {other}; name both, or none to serve HTTP")
        return self


class Settings(Section):
    """A deployment's whole configuration; plugins' own tables are left as they were found."""

    addon: AddonSettings
    database: DatabaseSettings = DatabaseSettings()
    host: HostSettings = HostSettings()
    security: SecuritySettings = SecuritySettings()
    tenants: TenantSettings = TenantSettings()
    log: LogSettings = LogSettings()
    operations: OperationsSettings = OperationsSettings()
    jobs: JobSettings = JobSettings()
    server: ServerSettings = ServerSettings()
    plugin: dict[str, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _loopback_hosts_only_for_loopback(self) -> Self:
        local = [d for d in self.host.domains if d in LOOPBACK_DOMAINS]
        plain = [u for u in self.host.install_keys if not u.startswith("https://") and not is_loopback(u)]
        if local and not is_loopback(self.addon.base_url):
            raise ValueError(
                f"[host] domains holds '{local[0]}', which only an add-on on a loopback base_url may trust"
            )
        if plain:
            raise ValueError(f"[host] install_keys holds '{plain[0]}', which is not https; use https")
        server = self.host.token_server
        if server is not None and not server.startswith("https://") and not is_loopback(self.addon.base_url):
            raise ValueError(f"[host] token_server is '{server}', which is not https; use https")
        if not is_loopback(self.addon.base_url) and any(is_loopback(u) for u in self.host.install_keys):
            raise ValueError("[host] install_keys holds a loopback server, which only a loopback base_url may trust")
        return self


def _check_network(text: str) -> None:
    """Refuse what is neither an address nor a network, and a network that is everybody.

    Raises:
        ValueError: With a sentence.
    """
    from ipaddress import ip_network  # here, for few deployments name a proxy

    try:
        network = ip_network(text)
    except ValueError as wrong:
        cure = "write an address, a network such as '10.0.0.0/8' with no bit set behind its prefix, or 'unix'"
        raise ValueError(f"'{text}' is no address and no network; {cure}") from wrong
    if network.prefixlen == 0:
        raise ValueError(f"'{text}' is everybody, who could then claim any address; name the proxies alone")


def parse_key(text: str) -> tuple[str, bytes]:
    """The id and the 32 bytes of an encryption key written as ``<id>:<base64>``.

    Raises:
        ValueError: With the rest of a sentence that does not repeat the key.
    """
    key_id, colon, encoded = text.partition(":")
    if not colon or not key_id or not key_id.replace("-", "").replace("_", "").isalnum():
        raise ValueError("is not '<id>:<base64>'; make a key with 'addonkit keys new'")
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError(f"('{key_id}') is not base64 behind the colon; make a key with 'addonkit keys new'") from None
    if len(key) != 32:
        raise ValueError(f"('{key_id}') has {len(key)} bytes, expected 32; make a key with 'addonkit keys new'")
    return key_id, key
