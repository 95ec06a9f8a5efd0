"""Report of results: an HTML file, CSV files, figures, and tables for the terminal."""

from pyg_mllc.visualization.report.charts import confusion_figure, reliability_figure, write_figures
from pyg_mllc.visualization.report.html import write_report
from pyg_mllc.visualization.report.tables import comparison_table, stages_table, write_tables

__all__ = [
    "comparison_table",
    "confusion_figure",
    "reliability_figure",
    "stages_table",
    "write_figures",
    "write_report",
    "write_tables",
]
