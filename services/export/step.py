"""The step that an export is, known to the service that starts it and to the program that does it."""

from services.common.steps import Step

EXPORT = Step("export_model", 1)
"""Of an `ExportSpec` with all defaults filled in."""
