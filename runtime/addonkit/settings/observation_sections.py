"""The tables ``[log]`` and ``[operations]``: what an operator sees of a running add-on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from addonkit.settings.section import Section


class LogSettings(Section):
    """``[log]``: level and format of the log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"
    access: bool = Field(False, description="Whether each request is logged; never with its query.")
    access_sample: float = Field(
        1.0, ge=0, le=1, description="Share of requests that are logged; errors and slow requests always are."
    )
    access_slow_s: float = Field(
        1.0, ge=0, le=600, description="Duration from which a request is always logged, in seconds."
    )


class OperationsSettings(Section):
    """``[operations]``: health checks, metrics and traces."""

    bind: str | None = Field(None, description="HOST:PORT of a second listener for /healthz, /readyz and /metrics.")
    work_bind: str | None = Field(
        None, description="The same for 'addonkit work', if it runs on one machine with 'addonkit serve'."
    )
    metrics_token: str | None = Field(
        None,
        min_length=16,
        repr=False,
        description="Token for /metrics on the first listener: 'Authorization: Bearer <token>'.",
    )
    addon_label: bool = Field(False, description="Whether all metrics have the label 'addon' with the add-on's key.")
    tracing: bool = Field(
        False,
        description="Whether traces are sent to the collector in OTEL_EXPORTER_OTLP_ENDPOINT, by addonkit[otel].",
    )

    @field_validator("metrics_token")
    @classmethod
    def _fits_a_header(cls, token: str | None) -> str | None:
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError(
                "the token contains a space or a character that is not printable ASCII; use letters and digits"
            )
        return token
