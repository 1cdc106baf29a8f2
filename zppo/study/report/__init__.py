"""The report of a study, made from its records alone."""

from zppo.study.report.provenance import Provenance, provenance
from zppo.study.report.write import write_report

__all__ = ["Provenance", "provenance", "write_report"]
