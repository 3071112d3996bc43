"""``cfzoo sign``: sign artifacts with a key of minisign, or make such a key."""

import os

import click

from ...export.sign import open_key, sign_file, write_key_pair
from ...runtime.errors import InputError
from ..terminal import echo, escape

PASSWORD = "CFZOO_KEY_PASSWORD"


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1)
@click.option("--key", metavar="KEY", help="Secret key, as minisign -G or --new-key wrote it.")
@click.option(
    "--new-key",
    metavar="KEY",
    help="Make a key: the secret KEY, and beside it KEY.pub to give away.",
)
@click.option("--no-password", is_flag=True, help="Do not encrypt the new key.")
@click.option("--overwrite", is_flag=True, help="Replace the signatures of FILEs.")
def command(files, key, new_key, no_password, overwrite):
    """Sign each FILE, an artifact, ensemble or public key, into FILE.minisig.

    The program minisign makes and checks the same signatures. A signature says who vouches for a
    file, not that the model is good. The environment variable CFZOO_KEY_PASSWORD holds the password
    where nobody can type it.
    """
    if bool(new_key) == bool(key) or bool(files) != bool(key):
        raise InputError("Expected FILEs and --key KEY to sign, or --new-key KEY alone.")
    password = os.environ.get(PASSWORD)
    if new_key:
        if not no_password and password is None:
            password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        public, text = write_key_pair(new_key, "" if no_password or password is None else password)
        echo(f"secret key  {escape(new_key)}: keep it and a copy where nobody else can read them")
        echo(f"public key  {escape(public)}: {text}")
        return
    secret = open_key(key, lambda: password or click.prompt("Password", hide_input=True))
    for file in files:
        echo(escape(sign_file(file, secret, overwrite)))
