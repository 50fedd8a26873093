"""TLS to Redis: the context for the options of an address, and errors in the files that the options name."""

import os
import ssl

from tickfleet.redis.url import TLS_FILES, Address

_RULES = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


def context_of(address: Address) -> ssl.SSLContext:
    """The context for the options; by default it trusts the system's authorities and checks the host's name.

    Raises:
        OSError: A file cannot be used, see ``file_trouble``.
    """
    options = address.tls or {}
    rule = options.get("ssl_cert_reqs", "required")
    context = ssl.create_default_context()
    if "ssl_ca_certs" in options:
        context.load_verify_locations(options["ssl_ca_certs"])
    context.check_hostname = rule == "required" and address.checks_names
    context.verify_mode = _RULES[rule]
    if "ssl_certfile" in options:
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context


def file_trouble(address: Address) -> str:
    """Why no connection can be tried: which file, where it is searched, what to do; empty if nothing is wrong."""
    options = address.tls or {}
    for name in TLS_FILES:
        if name in options:
            try:
                with open(options[name], "rb"):
                    pass
            except OSError as error:
                return _about(
                    name, os.path.abspath(options[name]), f"cannot be read ({error.strerror or type(error).__name__})"
                )
    try:
        context_of(address)
    except ssl.SSLError:
        names = [name for name in TLS_FILES if name in options]
        return _about(" and ".join(names), " and ".join(options[name] for name in names), "is no PEM that TLS can use")
    return ""


def _about(names: str, paths: str, trouble: str) -> str:
    return f"is not asked: {paths} {trouble}; put the right file there, or mend {names} in its address"
