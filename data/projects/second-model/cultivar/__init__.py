"""Which of three cultivars is a wine from? For teaching only."""

__version__ = "0.3.0"
