"""One object, such as a file of points, read as a whole."""

from ..errors import InputError
from .address import Address
from .object_store import ObjectStore


def read_object(address: Address, most: int) -> bytes:
    """Read an object.

    Parameters
    ----------
    address : Address
    most : int
        Bytes that it may have.

    Raises
    ------
    InputError
        There is none, permission is refused, or it is larger.
    EnvironmentProblem
        A package or credentials are missing, or the server fails again and again.
    """
    objects = ObjectStore(address)
    try:
        (state,) = objects.measure([""])
        if state is not None and state.size > most:
            raise InputError(f"{address.url} has {state.size} bytes; expected at most {most}.")
        data = objects.read("", most=most)
    finally:
        objects.close()
    if data is None:
        raise InputError(f"Nothing is at {address.url} (404, not found). Check the address.")
    return data
