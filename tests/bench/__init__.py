"""Measurements: ``make bench``. Figures are compared within one run only; machines and loads differ."""
