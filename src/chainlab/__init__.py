"""chainlab: secure an ML CI/CD pipeline, for real, on one laptop."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainlab.lab import Lab, open

__all__ = ["Lab", "open"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # the command line does not pay for what notebooks need
    if name in __all__:
        from chainlab import lab

        return getattr(lab, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
