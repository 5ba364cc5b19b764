"""Asks boto3 who we are and where the store is: credentials, region, endpoint, addressing, proxies, certificates.

Promise: the whole of boto3's configuration applies (environment, profiles, instance roles, ...); nothing of boto3
leaves this module but its credentials object, which renews itself.  Blocking.
"""

import ssl
import urllib.parse
from typing import Any, Final, NamedTuple

import boto3
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.utils import get_environ_proxies

from vaultairefs.engine.s3_http import Origin
from vaultairefs.engine.s3_options import S3Options
from vaultairefs.engine.s3_policy import Policy
from vaultairefs.engine.s3_signing import Signer
from vaultairefs.model.errors import BadInput

_PROBE_BUCKET: Final = "vaultairefs-probe-bucket"
_PORTS: Final = {"http": 80, "https": 443}


class Site(NamedTuple):
    """One way into the store: for one bucket in virtual-host style, for all in path style.

    ``root`` is what every target begins with (a proxy wants the whole URL), ``path`` the part of it that is signed.
    """

    origin: Origin
    host: str
    root: str
    path: str
    is_tls: bool


class Session:
    """The account that a mount uses."""

    def __init__(self, options: S3Options) -> None:
        """``BadInput`` when there are no credentials or the configuration makes no sense."""
        self._options = options
        try:
            self._session, self._client = _open(options)
            found = self._session.get_credentials()
        except BotoCoreError as error:
            raise BadInput(f"S3: {error}") from error
        if found is None:
            raise BadInput("S3: no credentials found; give passwd_file=, profile=, or what else boto3 reads")
        self.credentials: Credentials = found
        self.region = str(self._client.meta.region_name or "us-east-1")
        if self.region == "aws-global":
            self.region = "us-east-1"
        self.endpoint = str(self._client.meta.endpoint_url)

    @property
    def policy(self) -> Policy:
        return self._options.policy

    def signer(self) -> Signer:
        return Signer(self.credentials, self.region)

    def renewed_signer(self) -> Signer:
        """A signer with credentials that were asked for anew, for when the store calls ours out of date."""
        return Session(self._options).signer()

    def in_region(self, region: str) -> "Session":
        """The same account as seen in another region."""
        return Session(self._options._replace(region=region))

    def service(self) -> Site:
        """The way in for requests about no bucket."""
        return self._site(self.endpoint)

    def bucket(self, bucket: str) -> Site:
        """The way in for one bucket, in the style that boto3 would use for it."""
        asked = self._client.generate_presigned_url("head_object", Params={"Bucket": bucket, "Key": "k"})
        parts, endpoint = urllib.parse.urlsplit(asked), urllib.parse.urlsplit(self.endpoint)
        # For a virtual host boto3 presigns with the global name, which only redirects to the region's.
        host = f"{bucket}.{endpoint.netloc}" if parts.netloc.startswith(f"{bucket}.") else parts.netloc
        return self._site(urllib.parse.urlunsplit((parts.scheme, host, parts.path.removesuffix("/k"), "", "")))

    def _site(self, url: str) -> Site:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or _PORTS[parts.scheme]
        is_tls = parts.scheme == "https"
        tls = self._tls() if is_tls else None
        path = parts.path.rstrip("/")
        proxy = (self._client.meta.config.proxies or get_environ_proxies(url)).get(parts.scheme)
        if proxy is None:
            return Site(Origin(host, port, tls, host), parts.netloc, path, path, is_tls)
        via = urllib.parse.urlsplit(proxy if "//" in proxy else f"http://{proxy}")
        if via.scheme != "http" or via.hostname is None:
            raise BadInput(f"S3: only plain http proxies are supported, not {via.scheme}://")
        origin = Origin(via.hostname, via.port or 80, tls, host, f"{host}:{port}" if is_tls else "")
        return Site(origin, parts.netloc, path if is_tls else f"http://{parts.netloc}{path}", path, is_tls)

    def _tls(self) -> ssl.SSLContext:
        bundle = self._session._session.get_config_variable("ca_bundle")
        return ssl.create_default_context(cafile=bundle)


def _open(options: S3Options) -> tuple[boto3.session.Session, Any]:
    login = options.login
    session = boto3.session.Session(
        aws_access_key_id=login.access_key if login else None,
        aws_secret_access_key=login.secret_key if login else None,
        region_name=options.region,
        profile_name=options.profile,
    )
    details: Any = {"us_east_1_regional_endpoint": "regional"}
    if options.addressing_style:
        details["addressing_style"] = options.addressing_style
    config = Config(signature_version="s3v4", s3=details)
    return session, session.client("s3", endpoint_url=options.endpoint_url, config=config)
