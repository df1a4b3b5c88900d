"""Runs a notebook and writes the outputs of its cells: execute.py NOTEBOOK EXECUTED SECONDS."""

import queue
import sys

import nbclient
import nbformat

# The kernel reports a cell as done before it sends the last line of stderr.
LATE_SECONDS = 0.2


class Patient(nbclient.NotebookClient):
    """Waits for output after the end of a cell; otherwise an error printed by `?` would be lost."""

    async def async_execute_cell(self, cell, cell_index, **options):
        cell = await super().async_execute_cell(cell, cell_index, **options)
        while cell.cell_type == "code":
            try:
                message = await self.kc.iopub_channel.get_msg(timeout=LATE_SECONDS)
            except queue.Empty:
                break
            if message["msg_type"] == "stream":
                self.process_message(message, cell, cell_index)
        return cell


source, executed, seconds = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
folder = {"metadata": {"path": source.rpartition("/")[0] or "."}}
# Cells after an error also run, so that all errors are reported.
Patient(
    notebook, timeout=int(seconds), startup_timeout=int(seconds), kernel_name="rust", allow_errors=True, resources=folder
).execute()
nbformat.write(notebook, executed)
