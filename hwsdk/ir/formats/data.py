"""stub"""
from hwsdk.ir.data import Stimulus


def load_data(*a: object, **k: object) -> Stimulus:
    """Stub."""
    raise NotImplementedError
