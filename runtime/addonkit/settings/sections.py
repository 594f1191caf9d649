"""The settings of a deployment, one model for each table of ``addon.toml``. ``reading`` says where values come from.

The tables of plugins are not validated here: the model of each enabled plugin does that.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from addonkit.protocol.urls import is_loopback
from addonkit.settings.addresses import check_network, check_proxy
from addonkit.settings.encryption_key import parse_key
from addonkit.settings.forge_section import ForgeSettings
from addonkit.settings.observation_sections import LogSettings, OperationsSettings
from addonkit.settings.section import BaseUrl, Section

LOOPBACK_DOMAINS = ("127.0.0.1", "localhost")


class Vendor(Section):
    """The vendor that publishes the add-on."""

    name: str
    url: str


class AddonSettings(Section):
    """``[addon]``: the add-on's identity, its base URL and its plugins."""

    key: str = Field(pattern=r"^[a-zA-Z0-9-._]+$", max_length=80, description="The add-on's key; never change it.")
    name: str = Field(min_length=1, max_length=80, description="Shown to administrators.")
    description: str = Field("", max_length=1000)
    base_url: BaseUrl = Field(description="URL of the add-on for the host; may have a path; http only on loopback.")
    allowed_base_urls: list[BaseUrl] = Field(
        [],
        max_length=10,
        description="Former or coming base URLs that tokens may also be for, while the address moves.",
    )
    plugins: list[str] = Field(min_length=1, description="Names of the enabled plugins.")
    required: list[str] = Field([], description="Plugins that are never skipped on errors.")
    on_plugin_error: Literal["stop", "skip"] = "stop"
    strict: bool = Field(False, description="Whether a module type that the runtime does not know is an error.")
    licensing: bool = Field(False, description="Whether the host sells licences for the add-on (enableLicensing).")
    vendor: Vendor | None = None

    @field_validator("base_url")
    @classmethod
    def _https_unless_loopback(cls, url: str) -> str:
        if not url.startswith("https://") and not is_loopback(url):
            raise ValueError(f"'{url}' is not https; use https, or http on localhost during development")
        return url

    @model_validator(mode="after")
    def _others_are_as_public(self) -> Self:
        for url in self.allowed_base_urls:
            if is_loopback(self.base_url) or (url.startswith("https://") and not is_loopback(url)):
                continue
            raise ValueError(
                f"allowed_base_urls contains '{url}', which is not a public https URL; correct or remove it"
            )
        return self

    @property
    def base_urls(self) -> frozenset[str]:
        """All base URLs that tokens may be for: the present one, and those of ``allowed_base_urls``."""
        return frozenset({self.base_url, *self.allowed_base_urls})

    @model_validator(mode="after")
    def _required_are_enabled(self) -> Self:
        for name in self.required:
            if name not in self.plugins:
                raise ValueError(f"required contains '{name}', which is not in plugins; add it there or remove it here")
        if len(set(self.plugins)) != len(self.plugins):
            raise ValueError("plugins contains a plugin twice; name each once")
        return self


class DatabaseSettings(Section):
    """``[database]``: the database."""

    url: str = Field(
        "sqlite://addonkit.db",
        description="sqlite://<path, relative to the configuration's folder> or postgres://user:password@host/database",
    )
    owner_url: str | None = Field(
        None,
        description="PostgreSQL: role that owns the tables and runs migrations; required for row-level security.",
    )
    pool_size: int = Field(10, ge=2, le=500, description="PostgreSQL: most connections of one process.")


class TenantSettings(Section):
    """``[tenants]``: retention, purges, sites that have disappeared, and the size of the tenant cache."""

    retention_days: int = Field(30, ge=0, le=3650, description="Days from an uninstall until a site's data is purged.")
    purge_hours: int = Field(
        6, ge=0, le=168, description="Hours between purges of sites whose retention has ended; 0: never."
    )
    gone_days: int = Field(
        0, ge=0, le=365, description="Days on which a site must not know the add-on until it is marked as gone; 0: off."
    )
    missing_content_days: int = Field(
        90, ge=1, le=3650, description="Days of 404s from a site until plugins delete rows about an issue or page."
    )
    in_memory: int = Field(
        16_384, ge=64, le=1_000_000, description="Most tenants that one process caches in memory, about 1 KB each."
    )


class HostSettings(Section):
    """``[host]``: which sites may install the add-on, and which servers of the host are trusted."""

    install_keys: list[str] = Field(
        [
            "https://asap-distribution.us-west-2.prod.atl-asap.net",
            "https://connect-install-keys.atlassian.com",
        ],
        min_length=1,
        description="Servers with the keys that sign installations, tried in this order.",
    )
    key_refresh_hours: int = Field(
        24, ge=1, le=720, description="Age from which a known install key is asked for again, in hours."
    )
    domains: list[str] = Field(
        ["*.atlassian.net", "*.jira.com"],
        min_length=1,
        description="Domains of sites; *. matches any depth.",
    )
    clock_leeway_s: int = Field(30, ge=0, le=120, description="How far the host's clock may be off, in seconds.")
    all_js: str = Field(
        "https://connect-cdn.atl-paas.net/all.js",
        description="The host's JavaScript; during development a loopback site's own is used.",
    )
    token_server: str | None = Field(
        None, description="Server that issues tokens to act as users; by default that of the site's domain."
    )
    proxy: str | None = Field(
        None,
        repr=False,
        description="Proxy for every request to other servers: http://user:password@proxy.example.com:3128.",
    )
    ca_file: str | None = Field(
        None,
        min_length=1,
        description="PEM file, relative to the configuration's folder, with certificate authorities that are trusted "
        "besides those of the machine.",
    )
    record_calls: str | None = Field(
        None,
        description="File, relative to the configuration's folder, to which each kind of host call is appended.",
    )

    @field_validator("proxy")
    @classmethod
    def _is_proxy(cls, url: str | None) -> str | None:
        if url is not None:
            check_proxy(url)
        return url


class SecuritySettings(Section):
    """``[security]``: keys that encrypt stored secrets."""

    encryption_keys: list[str] = Field([], description="'<id>:<base64 of 32 bytes>'; the first encrypts, all decrypt.")

    @field_validator("encryption_keys")
    @classmethod
    def _usable(cls, keys: list[str]) -> list[str]:
        for place, key in enumerate(keys):
            try:
                parse_key(key)
            except ValueError as error:
                raise ValueError(f"entry {place + 1} {error}") from None
        return keys


class JobSettings(Section):
    """``[jobs]``: background work."""

    in_server: bool = Field(True, description="Whether 'addonkit serve' runs jobs too; else only 'addonkit work' does.")
    concurrency: int = Field(32, ge=1, le=1000, description="Maximum concurrent jobs in one process.")
    per_tenant: int = Field(8, ge=1, le=1000, description="Maximum concurrent jobs of one tenant, in all processes.")
    keep_done_hours: int = Field(
        72,
        ge=1,
        le=24 * 365,
        description="Hours for which done jobs and webhooks are kept; Jira retries no longer.",
    )
    keep_payloads_hours: int = Field(
        0,
        ge=0,
        le=24 * 365,
        description="Hours for which payloads of done jobs and webhooks are kept, for 'webhooks replay'; 0: a minute.",
    )
    recover_hours: int = Field(
        6,
        ge=0,
        le=24,
        description="Hours between requests to Jira sites for undelivered webhooks; 0: never.",
    )
    intake_rows: int = Field(1000, ge=1, le=100_000, description="Most webhooks that wait to be stored.")
    intake_mb: int = Field(64, ge=26, le=10_000, description="Most megabytes of webhooks that wait to be stored.")


class ServerSettings(Section):
    """``[server]``: HTTP server, TLS, trusted proxies and shutdown."""

    server: Literal["hypercorn", "granian"] = Field(
        "hypercorn", description="HTTP server; 'granian' needs the extra 'addonkit[granian]'."
    )
    tls_certificate: str | None = Field(None, description="PEM file of the certificate and its chain.")
    tls_key: str | None = Field(None, description="PEM file of the certificate's key.")
    trusted_proxies: list[str] = Field([], description="Addresses or networks whose X-Forwarded-For is trusted.")
    drain_s: float = Field(
        5.0, ge=0, le=300, description="Seconds between the first 503 at /readyz and closing the listener."
    )
    stop_s: float = Field(30.0, ge=1, le=600, description="Longest time for running requests to finish, in seconds.")
    base_path_stripped: bool = Field(False, description="Whether a proxy removes the base URL's path from requests.")

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, names: list[str]) -> list[str]:
        for name in names:
            if name != "unix":
                check_network(name)
        return names

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            named, other = ("tls_certificate", "tls_key") if self.tls_certificate else ("tls_key", "tls_certificate")
            raise ValueError(f"{named} is set without {other}; set both, or neither to serve HTTP")
        return self


class Settings(Section):
    """The whole configuration of a deployment; tables of plugins are not validated."""

    addon: AddonSettings
    database: DatabaseSettings = DatabaseSettings()
    host: HostSettings = HostSettings()
    security: SecuritySettings = SecuritySettings()
    tenants: TenantSettings = TenantSettings()
    log: LogSettings = LogSettings()
    operations: OperationsSettings = OperationsSettings()
    jobs: JobSettings = JobSettings()
    server: ServerSettings = ServerSettings()
    forge: ForgeSettings | None = None
    plugin: dict[str, dict[str, Any]] = Field({})

    @model_validator(mode="after")
    def _loopback_hosts_only_for_loopback(self) -> Self:
        local = [d for d in self.host.domains if d in LOOPBACK_DOMAINS]
        plain = [u for u in self.host.install_keys if not u.startswith("https://") and not is_loopback(u)]
        if local and not is_loopback(self.addon.base_url):
            raise ValueError(
                f"[host] domains contains '{local[0]}', which is allowed with a loopback base_url only; remove it"
            )
        if plain:
            raise ValueError(f"[host] install_keys contains '{plain[0]}', which is not https; use https")
        server = self.host.token_server
        if server is not None and not server.startswith("https://") and not is_loopback(self.addon.base_url):
            raise ValueError(f"[host] token_server is '{server}', which is not https; use https")
        if not is_loopback(self.addon.base_url) and any(is_loopback(u) for u in self.host.install_keys):
            raise ValueError(
                "[host] install_keys contains a loopback server, allowed with a loopback base_url only; remove it"
            )
        return self
