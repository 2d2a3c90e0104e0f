"""Why the server does not accept the caller: it says no more than that, but the caller's certificate is here.

Only called after a failure.
"""

from __future__ import annotations

from jsched.client.diagnosis import load_certificate, own_certificate
from jsched.client.settings import ClientConfig
from jsched.errors import JschedError, Unauthenticated

_NEW = "ask the server's administrator for a new one"
_PERHAPS = f"it may have been revoked, or name no one user and role; {_NEW}"
_CERTAIN = f"{_NEW}, that names one user and one role (`jsched certs client` makes such)"


def identity_refused(config: ClientConfig, message: str) -> JschedError:
    """Return the error for a call that the server has refused, or ended, for the caller's certificate.

    It says what is wrong with the certificate if that can be seen, else the server's `message`.
    """
    if (expired := own_certificate(config)) is not None:
        return expired
    why, hint = _look(config)
    return Unauthenticated(
        f"the server at {config.server} does not accept your certificate {config.cert} ({why or message})",
        obj=str(config.cert),
        hint=hint,
    )


def _look(config: ClientConfig) -> tuple[str, str]:
    """Return what is wrong with the certificate, "" if nothing that can be seen here, and what to do.

    Where the server looks for the role is its policy's to say, and not known here.
    """
    from jsched.certificates.client_leaf import OddCertificate, objection, role_in_extension, role_in_unit, user

    try:
        certificate = load_certificate(config)
        if why := objection(certificate):
            return why, _CERTAIN
        user(certificate)
    except OddCertificate as odd:
        return str(odd), _CERTAIN
    except (OSError, ValueError):
        return "", _PERHAPS
    try:
        role_in_extension(certificate)
    except OddCertificate as odd:
        try:
            role_in_unit(certificate)
        except OddCertificate:
            return str(odd), _CERTAIN
        return "", f"it may have been revoked, or its role is not where the server looks: {odd}; {_NEW}"
    return "", _PERHAPS
